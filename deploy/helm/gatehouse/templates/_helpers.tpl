{{- define "gatehouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "gatehouse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "gatehouse.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gatehouse.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "gatehouse.selector" -}}
app.kubernetes.io/name: {{ include "gatehouse.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gatehouse.labels" -}}
{{ include "gatehouse.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gatehouse.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gatehouse.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Not empty where the queen is elected by a Lease of Kubernetes. An empty mapping is a choice, too. */}}
{{- define "gatehouse.electsByLease" -}}
{{- $election := default dict (default dict .Values.config.cluster).election }}
{{- if hasKey $election "kubernetes" }}yes{{ end }}
{{- end }}

{{/* As control/cluster/lease-options.ts makes it. */}}
{{- define "gatehouse.leaseName" -}}
{{- $cluster := .Values.config.cluster }}
{{- $made := printf "gatehouse-%s" (regexReplaceAll "[^a-z0-9]+" (lower $cluster.name) "-") | trunc 63 | trimSuffix "-" }}
{{- default $made $cluster.election.kubernetes.lease }}
{{- end }}
