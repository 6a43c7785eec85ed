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

{{- /* The namespace of every namespaced object of the release. */ -}}
{{- define "secret-rotation-controller.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- /* The labels that identify the pods of the release. Never change them: the selector of a Deployment is immutable. */ -}}
{{- define "secret-rotation-controller.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /*
The metadata of an object. Call it with a dict: root, name, and where they apply:
  namespace           the namespace of a namespaced object
  labels, annotations the user's for this object
  needs               labels that the object needs
  defaults, must      annotations that the user can replace, and annotations that the object needs
A key that occurs more than once is rendered once. What the object needs wins; then come the user's values for this object,
the user's values for all objects, and the chart's own.
*/ -}}
{{- define "secret-rotation-controller.metadata" -}}
{{- $root := .root -}}
{{- $own := dict
  "app.kubernetes.io/part-of" $root.Chart.Name
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $selector := include "secret-rotation-controller.selectorLabels" $root | fromYaml -}}
{{- $labels := mergeOverwrite $own (default dict $root.Values.commonLabels) (default dict .labels) (default dict .needs) $selector -}}
{{- $annotations := mergeOverwrite dict (default dict .defaults) (default dict $root.Values.commonAnnotations) (default dict .annotations) (default dict .must) -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "secret-rotation-controller.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "secret-rotation-controller.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The image. A registry from the values replaces the host at the beginning of the repository, or precedes a repository
without one. As in Docker, the first part is a host if it contains a dot or a colon, or is localhost. */ -}}
{{- define "secret-rotation-controller.image" -}}
{{- $image := .Values.image -}}
{{- $repository := $image.repository -}}
{{- with default .Values.global.imageRegistry $image.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* The pull secrets of this chart and those of a parent chart, which can be names or objects, each once. */ -}}
{{- define "secret-rotation-controller.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat (default list .Values.imagePullSecrets) (default list .Values.global.imagePullSecrets) -}}
{{- $names = append $names (kindIs "string" . | ternary (dict "name" .) .).name -}}
{{- end -}}
{{- range uniq $names }}
- name: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "secret-rotation-controller.metricsScheme" -}}
{{- ternary "https" "http" (not (empty .Values.metrics.tls.secretName)) -}}
{{- end -}}

{{- /* The arguments that the controller and its self-test share. */ -}}
{{- define "secret-rotation-controller.sharedArgs" -}}
- --lease-namespace={{ include "secret-rotation-controller.namespace" . }}
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

{{- /* Settings of a pod that the controller and its self-test share. */ -}}
{{- define "secret-rotation-controller.podSettings" -}}
serviceAccountName: {{ include "secret-rotation-controller.serviceAccountName" . }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.openshift | ternary (omit (default dict .Values.podSecurityContext) "runAsUser" "runAsGroup" "fsGroup") .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with default (ternary "ClusterFirstWithHostNet" "" .Values.hostNetwork) .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with include "secret-rotation-controller.imagePullSecrets" . }}
imagePullSecrets:
{{- . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.initContainers }}
initContainers:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{- /* Settings of a container that the controller and its self-test share. */ -}}
{{- define "secret-rotation-controller.containerSettings" -}}
image: {{ include "secret-rotation-controller.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.extraEnv }}
env:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
{{- toYaml . | nindent 0 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
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
  namespace: {{ include "secret-rotation-controller.namespace" .root }}
{{- end -}}

{{- /* The pod of `helm test` is no controller pod: no Service and no PodDisruptionBudget may select it. */ -}}
{{- define "secret-rotation-controller.testLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-selftest
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}
