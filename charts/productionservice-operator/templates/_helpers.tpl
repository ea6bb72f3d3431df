{{- define "operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "operator.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "operator.dnsLabels" -}}
{{- .Values.config.dns.labels | default (dict "k8s-app" "kube-dns") | toYaml -}}
{{- end -}}

{{- define "operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "operator.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- /* What the schema cannot say in words. */ -}}
{{- define "operator.validate" -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag: 'latest' does not say what runs; write a version such as v0.1.0, or leave it empty for the chart's own" -}}
{{- end -}}
{{- with .Values.admission.webhook.certificate -}}
{{- if and (eq .source "Secret") (not (and .secretName .caBundle)) -}}
{{- fail "admission.webhook.certificate: source Secret needs the Secret's name and who signed its certificate; write secretName and caBundle" -}}
{{- end -}}
{{- end -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" -}}
{{- if hasKey $.Values.podLabels $label -}}
{{- fail (printf "podLabels: %s is what the pods are selected by; write another label" $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The series of this release: the job is the name of the Service that they are scraped through. */ -}}
{{- define "operator.alerts" -}}
{{- $job := printf "%s-metrics" (include "operator.fullname" .) -}}
{{- $selector := printf "job=\"%s\",namespace=\"%s\"" $job .Release.Namespace -}}
{{- $rules := .Files.Get "files/alerts.yaml" | replace "@SELECTOR@" $selector | replace "@REPLICAS@" (.Values.replicas | int | toString) | fromYaml -}}
{{- $runbooks := .Values.monitoring.alerts.runbooks | trimSuffix "/" -}}
{{- range $group := $rules.groups -}}
{{- range $rule := $group.rules -}}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s/operator.md#%s" $runbooks (lower $rule.alert)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}
