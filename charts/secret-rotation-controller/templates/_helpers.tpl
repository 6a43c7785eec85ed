{{- /* The name of every object of the release. */ -}}
{{- define "secret-rotation-controller.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The labels that identify the pods of the release. Never change them: the selector of a Deployment is immutable. */ -}}
{{- define "secret-rotation-controller.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "secret-rotation-controller.labels" -}}
{{ include "secret-rotation-controller.selectorLabels" . }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "secret-rotation-controller.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "secret-rotation-controller.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "secret-rotation-controller.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "secret-rotation-controller.metricsScheme" -}}
{{- ternary "https" "http" (not (empty .Values.metrics.tls.secretName)) -}}
{{- end -}}

{{- /* The arguments that the controller and its self-test share. */ -}}
{{- define "secret-rotation-controller.sharedArgs" -}}
- --lease-namespace={{ .Release.Namespace }}
{{- range .Values.watchNamespaces }}
- --namespace={{ . }}
{{- end }}
{{- if .Values.metrics.auth }}
- --metrics-auth
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* Binds a role to the ServiceAccount. Call it with (dict "root" $ "kind" "ClusterRole" "name" …). */ -}}
{{- define "secret-rotation-controller.boundTo" -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: {{ include "secret-rotation-controller.serviceAccountName" .root }}
  namespace: {{ .root.Release.Namespace }}
{{- end -}}

{{- /* The pod of `helm test` is no controller pod: no Service and no PodDisruptionBudget may select it. */ -}}
{{- define "secret-rotation-controller.testLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-selftest
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
