// Command cert-manager-acmesolver answers one ACME HTTP-01 challenge.
package main

import (
	"flag"
	"log"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

func main() {
	server := &solver.HTTP01Solver{}
	flag.IntVar(&server.ListenPort, "listen-port", 8089, "port to listen on")
	flag.StringVar(&server.Domain, "domain", "", "name that is challenged")
	flag.StringVar(&server.Token, "token", "", "token of the challenge, the end of its path")
	flag.StringVar(&server.Key, "key", "", "answer to the challenge")
	flag.Parse()
	logf.InitLogs()
	if err := server.Listen(logf.Log); err != nil {
		log.Fatal(err)
	}
}
