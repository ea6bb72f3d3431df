# Who may reach whom, and who may do what. One document at a time.
package main

import rego.v1

# An empty peer is everybody; so is a rule without peers.
deny_one_way contains msg if {
	input.kind == "NetworkPolicy"
	some direction in {"Ingress", "Egress"} - {each | some each in input.spec.policyTypes}
	msg := sprintf("%s: %s is open", [where, direction])
}

deny_rule_for_everybody contains msg if {
	input.kind == "NetworkPolicy"
	some [rules, peers] in [["ingress", "from"], ["egress", "to"]]
	some rule in object.get(input.spec, rules, [])
	count(object.get(rule, peers, [])) == 0
	not api_server(rule)
	msg := sprintf("%s: a rule of %s is for everybody", [where, rules])
}

# The API server has no label and no known address: the operator's own policy names its ports instead.
api_server(rule) if {
	speaks_to_the_api
	count(rule.ports) > 0
}

deny_peer_is_everybody contains msg if {
	input.kind == "NetworkPolicy"
	some [rules, peers] in [["ingress", "from"], ["egress", "to"]]
	some rule in object.get(input.spec, rules, [])
	some peer in rule[peers]
	peer == {}
	msg := sprintf("%s: a peer of %s is everybody", [where, rules])
}

deny_node_credentials contains msg if {
	input.kind == "NetworkPolicy"
	some rule in object.get(input.spec, "egress", [])
	some peer in rule.to
	net.cidr_contains(peer.ipBlock.cidr, "169.254.169.254/32")
	not excepted(peer.ipBlock)
	msg := sprintf("%s: credentials of the node can be reached within %s", [where, peer.ipBlock.cidr])
}

excepted(block) if {
	some except in block.except
	net.cidr_contains(except, "169.254.169.254/32")
}

deny_blocked_drain contains msg if {
	input.kind == "PodDisruptionBudget"
	not input.spec.unhealthyPodEvictionPolicy == "AlwaysAllow"
	msg := sprintf("%s: a pod that never becomes ready blocks every drain", [where])
}

deny_no_eviction contains msg if {
	input.kind == "PodDisruptionBudget"
	some never in [object.get(input.spec, "maxUnavailable", 1), object.get(input.spec, "minAvailable", "0%")]
	never in {0, "0", "100%"}
	msg := sprintf("%s: no pod may ever be evicted", [where])
}

deny_wildcard contains msg if {
	input.kind in {"Role", "ClusterRole"}
	some rule in input.rules
	some field in {"verbs", "resources", "apiGroups"}
	some value in object.get(rule, field, [])
	value == "*"
	msg := sprintf("%s: %s are everything", [where, field])
}

deny_escalation contains msg if {
	input.kind in {"Role", "ClusterRole"}
	some rule in input.rules
	some verb in {"escalate", "bind", "impersonate"} & {each | some each in rule.verbs}
	msg := sprintf("%s: %s gives away more than it has", [where, verb])
}
