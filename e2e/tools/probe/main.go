// Command probe is the test image's only program: a server, an admission webhook and a client in one.
//
//	probe serve [ADDRESS]                     HTTP; answers with its host name and logs each request
//	probe webhook ADDRESS CERTIFICATE KEY     HTTPS; denies objects labelled probe=deny
//	probe dial HOST:PORT                      exit code 0 when a TCP connection opens within a second
//	probe resolve NAME                        prints the addresses of NAME
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	arguments := append(os.Args[1:], "serve")
	var err error
	switch arguments[0] {
	case "serve":
		err = serve(arguments[1:])
	case "webhook":
		err = webhook(arguments[1], arguments[2], arguments[3])
	case "dial":
		err = dial(arguments[1])
	case "resolve":
		err = resolve(arguments[1])
	default:
		err = fmt.Errorf("unknown command %q: use serve, webhook, dial or resolve", arguments[0])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(arguments []string) error {
	address := ":8080"
	if len(arguments) > 0 && arguments[0] != "serve" {
		address = arguments[0]
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	server := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname()
		log.Printf("%s %s", r.Method, r.URL.Path)
		fmt.Fprintln(w, host)
	})
	go func() {
		<-stop.Done()
		server.Close()
	}()
	log.Printf("serving on %s", address)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// The few fields of admission.k8s.io/v1 that a verdict needs.
type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID    string `json:"uid"`
	Object struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	} `json:"object"`
}

type response struct {
	UID     string  `json:"uid"`
	Allowed bool    `json:"allowed"`
	Status  *status `json:"status,omitempty"`
}

type status struct {
	Message string `json:"message"`
}

func webhook(address, certificate, key string) error {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var in review
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Request == nil {
			http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
			return
		}
		verdict := &response{UID: in.Request.UID, Allowed: true}
		if in.Request.Object.Metadata.Labels["probe"] == "deny" {
			verdict.Allowed, verdict.Status = false, &status{Message: "label probe=deny: remove it"}
		}
		json.NewEncoder(w).Encode(review{APIVersion: in.APIVersion, Kind: in.Kind, Response: verdict})
	})
	return http.ListenAndServeTLS(address, certificate, key, nil)
}

func dial(address string) error {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	return connection.Close()
}

func resolve(name string) error {
	within, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(within, name)
	for _, address := range addresses {
		fmt.Println(address)
	}
	return err
}
