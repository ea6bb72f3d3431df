# What a workload of ours promises beyond what scanners of other people ask for. One document at a time.
package main

import rego.v1

pod := input.spec.template.spec if input.kind in {"Deployment", "StatefulSet", "DaemonSet", "Job"}

pod := input.spec.jobTemplate.spec.template.spec if input.kind == "CronJob"

containers contains container if some container in pod.containers

containers contains container if some container in pod.initContainers

where := sprintf("%s %s", [input.kind, input.metadata.name])

deny_api_token contains msg if {
	pod
	not pod.automountServiceAccountToken == false
	not speaks_to_the_api
	msg := sprintf("%s: a token of the API is mounted that nobody needs", [where])
}

# The operator itself.
speaks_to_the_api if input.metadata.labels["app.kubernetes.io/name"] == "productionservice-operator"

deny_service_links contains msg if {
	pod
	not pod.enableServiceLinks == false
	msg := sprintf("%s: enableServiceLinks: variables of every Service in the namespace", [where])
}

deny_tag_only contains msg if {
	some container in containers
	not contains(container.image, "@sha256:")
	msg := sprintf("%s: image %s is not pinned by digest", [where, container.image])
}

deny_rollout_gap contains msg if {
	input.kind == "Deployment"
	not input.spec.strategy.rollingUpdate.maxUnavailable == 0
	msg := sprintf("%s: a rollout takes pods away before new ones are ready", [where])
}

deny_not_spread contains msg if {
	input.kind == "Deployment"
	object.get(input.spec, "replicas", 2) > 1
	keys := {each.topologyKey | some each in object.get(pod, "topologySpreadConstraints", [])}
	some key in wanted_spread - keys
	msg := sprintf("%s: its pods are not spread over %s", [where, key])
}

default wanted_spread := {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}

wanted_spread := {"kubernetes.io/hostname"} if development

development if {
	config := input.spec.template.metadata.annotations["productionservice.io/config"]
	json.unmarshal(config).environment == "development"
}

deny_unprobed contains msg if {
	input.kind == "Deployment"
	some container in pod.containers
	some probe in {"startupProbe", "readinessProbe", "livenessProbe"}
	not container[probe]
	msg := sprintf("%s: container %s has no %s", [where, container.name, probe])
}

# A pod that is told to stop must have time for what it does before it is told, and for its own drain.
deny_no_time_to_drain contains msg if {
	input.kind == "Deployment"
	some container in pod.containers
	seconds := container.lifecycle.preStop.sleep.seconds
	seconds >= object.get(pod, "terminationGracePeriodSeconds", 30)
	msg := sprintf("%s: preStop (%d s) leaves nothing of the grace period", [where, seconds])
}
