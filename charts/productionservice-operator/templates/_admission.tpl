{{- /* Namespaces whose services are looked at: those that the operator works in, never the system's own. */ -}}
{{- define "operator.admissionNamespaces" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{- concat (list "kube-system" .Release.Namespace) .Values.admission.excludedNamespaces | uniq | toYaml | nindent 6 }}
  {{- with .Values.config.namespaces }}
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end -}}

{{- /* Creates and updates of services. Not deletes, and no subresource: the operator's status writes. */ -}}
{{- define "operator.admissionRules" -}}
- apiGroups: [productionservice.io]
  apiVersions: [v1alpha1]
  operations: [CREATE, UPDATE]
  resources: [productionservices]
  scope: Namespaced
{{- end -}}

{{- /* A service that is being deleted: only finalizers still change, and nothing may hold them up. */ -}}
{{- define "operator.notLeaving" -}}
- name: not-leaving
  expression: "!has(object.metadata.deletionTimestamp)"
{{- end -}}

{{- /* What has not changed is no reason to refuse: a rule that came later must not block an edit of something else. */ -}}
{{- define "operator.specChanged" -}}
{{ include "operator.notLeaving" . }}
- name: spec-changed
  expression: request.operation == 'CREATE' || object.spec != oldObject.spec
{{- end -}}

{{- /* Begin of a policy, to the validations. Takes root, name, conditions. */ -}}
{{- define "operator.policy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "operator.fullname" .root }}-{{ .name }}
  labels: {{- include "operator.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{- include "operator.admissionNamespaces" .root | nindent 6 }}
    resourceRules: {{- include "operator.admissionRules" .root | nindent 6 }}
  matchConditions: {{- include .conditions .root | nindent 4 }}
{{- end -}}

{{- /* The binding that puts a policy to work. Takes root, name, mode (Deny or Warn). */ -}}
{{- define "operator.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "operator.fullname" .root }}-{{ .name }}
  labels: {{- include "operator.labels" .root | nindent 4 }}
spec:
  policyName: {{ include "operator.fullname" .root }}-{{ .name }}
  validationActions: [{{ .mode }}]
{{- end -}}

{{- define "operator.webhookSecret" -}}
{{- with .Values.admission.webhook.certificate -}}
{{- if eq .source "Secret" }}{{ .secretName }}{{ else }}{{ include "operator.fullname" $ }}-webhook{{ end -}}
{{- end -}}
{{- end -}}

{{- /* A request of the operator itself. */ -}}
{{- define "operator.ownRequest" -}}
- name: own-request
  expression: request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "operator.fullname" . }}'
{{- end -}}
