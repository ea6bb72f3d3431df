// Command trivy-kubernetes asks the Kubernetes checks of `trivy config` about a folder of manifests.
//
// The stock program links registries, clouds, package databases and every other thing that trivy can look at: four
// times the packages. The checks are those that trivy carries in itself; nothing is downloaded. The second folder has
// the data that checks read, as --config-data of the stock program.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aquasecurity/trivy/pkg/iac/rego"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/kubernetes"
)

type finding struct {
	File     string `json:"file"`
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

type answer struct {
	Passed   int       `json:"passed"`
	Findings []finding `json:"findings"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: trivy-kubernetes MANIFESTS DATA")
		os.Exit(2)
	}
	found, err := scan(os.Args[1], os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func scan(manifests, data string) (answer, error) {
	scanner := kubernetes.NewScanner(
		rego.WithEmbeddedPolicies(true),
		rego.WithEmbeddedLibraries(true),
		rego.WithDataFilesystem(os.DirFS(data)),
		rego.WithDataDirs("."),
	)
	results, err := scanner.ScanFS(context.Background(), os.DirFS(manifests), ".")
	if err != nil {
		return answer{}, err
	}
	found := answer{Passed: len(results.GetPassed()), Findings: []finding{}}
	for _, failed := range results.GetFailed() {
		flat := failed.Flatten()
		found.Findings = append(found.Findings, finding{
			File:     flat.Location.Filename,
			ID:       failed.Rule().ID,
			Severity: string(flat.Severity),
			Message:  flat.Description,
		})
	}
	return found, nil
}
