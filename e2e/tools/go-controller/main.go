// A controller as a Go engineer would write it with controller-runtime: what the operator is measured against.
//
// It applies the very same bodies by server-side apply, owns every kind, and looks again at whatever changes. Nothing
// is tuned but the client's rate limit, which is lifted, and the number of workers, which is the operator's.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const owner = "go-controller"

var (
	service = schema.GroupVersionKind{Group: "productionservice.io", Version: "v1alpha1", Kind: "ProductionService"}
	monitor = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}
)

type reconciler struct {
	client.Client
	recorder events.EventRecorder
	// JSON of a list of manifests; `placeholder` stands for the name of the service.
	bodies, placeholder string
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	parent := kind(service)
	if err := r.Get(ctx, request.NamespacedName, parent); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	manifests, err := r.render(parent)
	if err != nil {
		return ctrl.Result{}, err
	}
	for _, manifest := range manifests {
		configuration := client.ApplyConfigurationFromUnstructured(manifest)
		if err := r.Apply(ctx, configuration, client.ForceOwnership, client.FieldOwner(owner)); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, r.report(ctx, parent)
}

func (r *reconciler) render(parent *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var bodies []map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(r.bodies, r.placeholder, parent.GetName())), &bodies); err != nil {
		return nil, err
	}
	manifests := make([]*unstructured.Unstructured, 0, len(bodies))
	for _, body := range bodies {
		manifest := &unstructured.Unstructured{Object: body}
		if err := controllerutil.SetControllerReference(parent, manifest, r.Scheme()); err != nil {
			return nil, err
		}
		manifests = append(manifests, manifest)
	}
	return manifests, nil
}

// report writes the status when it says something new.
func (r *reconciler) report(ctx context.Context, parent *unstructured.Unstructured) error {
	observed, _, _ := unstructured.NestedInt64(parent.Object, "status", "observedGeneration")
	if observed == parent.GetGeneration() {
		return nil
	}
	r.recorder.Eventf(parent, nil, corev1.EventTypeNormal, "Applied", "Apply", "all children are applied")
	status := kind(service)
	status.SetNamespace(parent.GetNamespace())
	status.SetName(parent.GetName())
	status.Object["status"] = map[string]any{
		"observedGeneration": parent.GetGeneration(),
		"conditions": []any{map[string]any{
			"type": "Applied", "status": "True", "reason": "Applied", "message": "every child exists as wanted",
			"observedGeneration": parent.GetGeneration(), "lastTransitionTime": "2026-01-01T00:00:00Z",
		}},
	}
	configuration := client.ApplyConfigurationFromUnstructured(status)
	return r.Status().Apply(ctx, configuration, client.ForceOwnership, client.FieldOwner(owner+"-status"))
}

func kind(of schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(of)
	return object
}

func run(kubeconfig, namespace, bodies, placeholder string, workers int) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config = rest.AddUserAgent(config, owner)
	config.QPS = -1
	text, err := os.ReadFile(bodies)
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics: metrics.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	made := &reconciler{manager.GetClient(), manager.GetEventRecorder(owner), string(text), placeholder}
	err = ctrl.NewControllerManagedBy(manager).
		Named(owner).
		For(kind(service), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&corev1.ServiceAccount{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.PodTemplate{}).
		Owns(&appsv1.Deployment{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Owns(kind(monitor)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(made)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	kubeconfig := flag.String("config", "", "kubeconfig of the cluster")
	namespace := flag.String("namespace", "", "where to work; empty: everywhere")
	bodies := flag.String("bodies", "", "file with a JSON list of manifests")
	placeholder := flag.String("placeholder", "NAME", "what stands for the service's name in it")
	workers := flag.Int("workers", 16, "services that are worked on at the same time")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*kubeconfig, *namespace, *bodies, *placeholder, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
