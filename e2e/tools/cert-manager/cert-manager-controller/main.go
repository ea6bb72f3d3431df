// Command cert-manager-controller issues certificates: every control loop of the project's but those of the Venafi
// issuer, whose SDK is not published. It runs alone, so it elects no leader.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/cert-manager/cert-manager/internal/controller/feature"
	"github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	gateways "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/gateways"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	listenerset "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/listenerset"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

const workersPerLoop = 5

func main() {
	options := parse()
	logf.InitLogs()
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(logf.NewContext(stop, logf.Log.WithName("controller")), options); err != nil {
		log.Fatal(err)
	}
}

// parse reads the options that the chart passes, and those that tests need. The rest is as the project's defaults are.
func parse() controller.ContextOptions {
	var options controller.ContextOptions
	flag.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "cert-manager",
		"where the Secrets of ClusterIssuers are")
	flag.StringVar(&options.HTTP01SolverImage, "acme-http01-solver-image",
		"quay.io/jetstack/cert-manager-acmesolver:"+util.AppVersion, "image that answers challenges")
	flag.IntVar(&options.MaxConcurrentChallenges, "max-concurrent-challenges", 60, "challenges at once")
	flag.BoolVar(&options.EnableGatewayAPI, "enable-gateway-api", false, "watch Gateways")
	flag.DurationVar(&options.DNS01CheckRetryPeriod, "dns01-check-retry-period", 10*time.Second,
		"time between self checks, of HTTP-01 too")
	flag.DurationVar(&options.CertificateRequestMinimumBackoffDuration,
		"certificate-request-minimum-backoff-duration", time.Hour, "pause after a failed request")
	nameservers := flag.String("acme-http01-solver-nameservers", "", "HOST:PORT,… for self checks")
	flag.Parse()
	if *nameservers != "" {
		options.HTTP01SolverNameservers = strings.Split(*nameservers, ",")
	}
	options.KubernetesAPIQPS, options.KubernetesAPIBurst = 20, 50
	options.ClusterIssuerAmbientCredentials = true
	options.ACMEHTTP01SolverRunAsNonRoot = true
	options.HTTP01SolverResourceRequestCPU = resource.MustParse("10m")
	options.HTTP01SolverResourceLimitsCPU = resource.MustParse("100m")
	options.HTTP01SolverResourceRequestMemory = resource.MustParse("64Mi")
	options.HTTP01SolverResourceLimitsMemory = resource.MustParse("64Mi")
	options.DNS01CheckAuthoritative = true
	options.DefaultIssuerGroup = v1.SchemeGroupVersion.Group
	options.DefaultAutoCertificateAnnotations = []string{"kubernetes.io/tls-acme"}
	options.CopiedAnnotationPrefixes = []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"}
	options.CertificateRequestMaximumBackoffDuration = 32 * time.Hour
	options.EnableGatewayAPIListenerSet = options.EnableGatewayAPI &&
		utilfeature.DefaultFeatureGate.Enabled(feature.ListenerSets)
	return options
}

func run(stop context.Context, options controller.ContextOptions) error {
	factory, err := controller.NewContextFactory(stop, options)
	if err != nil {
		return err
	}
	root, err := factory.Build()
	if err != nil {
		return err
	}
	metrics, err := net.Listen("tcp", "0.0.0.0:9402")
	if err != nil {
		return err
	}
	server := root.Metrics.NewServer(metrics)
	go func() { _ = server.Serve(metrics) }()
	alive := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	go func() { log.Fatal(http.ListenAndServe("0.0.0.0:9403", alive)) }()

	loops := map[string]controller.Interface{}
	for name, build := range controller.Known() {
		if name == gateways.ControllerName && !options.EnableGatewayAPI ||
			name == listenerset.ControllerName && !options.EnableGatewayAPIListenerSet {
			continue
		}
		if loops[name], err = build(factory); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	root.SharedInformerFactory.Start(stop.Done())
	root.KubeSharedInformerFactory.Start(stop.Done())
	root.HTTP01ResourceMetadataInformersFactory.Start(stop.Done())
	if options.EnableGatewayAPI {
		root.GWShared.Start(stop.Done())
	}
	var running sync.WaitGroup
	for name, loop := range loops {
		running.Go(func() {
			if err := loop.Run(workersPerLoop, stop); err != nil && stop.Err() == nil {
				log.Fatalf("%s: %v", name, err)
			}
		})
	}
	running.Wait()
	return nil
}
