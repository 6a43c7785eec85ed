{{- /* What a ServiceMonitor and a PodMonitor share. */ -}}

{{- define "secret-rotation-controller.monitorLimits" -}}
{{- $limits := dict -}}
{{- with .targetLabels }}{{ $_ := set $limits "targetLabels" . }}{{ end -}}
{{- with .podTargetLabels }}{{ $_ := set $limits "podTargetLabels" . }}{{ end -}}
{{- with .sampleLimit }}{{ $_ := set $limits "sampleLimit" (int64 .) }}{{ end -}}
{{- with $limits }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- /* How Prometheus scrapes. Call it with a dict: root, monitor (its values), key (of these values), namespace (of the
monitor). */ -}}
{{- define "secret-rotation-controller.endpoint" -}}
{{- $monitor := .monitor -}}
{{- $values := .root.Values -}}
port: metrics
scheme: {{ include "secret-rotation-controller.metricsScheme" .root }}
honorLabels: {{ $monitor.honorLabels }}
{{- with $monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with $monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if $values.metrics.auth }}
{{- if $monitor.authorization }}
authorization:
  {{- toYaml $monitor.authorization | nindent 2 }}
{{- else if $monitor.bearerTokenFile }}
bearerTokenFile: {{ $monitor.bearerTokenFile }}
{{- else }}
{{- fail (printf "metrics.%s.authorization is required with metrics.auth: name a Secret with the token that Prometheus presents" .key) }}
{{- end }}
{{- end }}
{{- if $values.metrics.tls.secretName }}
tlsConfig:
  {{- include "secret-rotation-controller.monitorTls" . | nindent 2 }}
{{- end }}
relabelings:
# The alerts select by this label.
- {action: replace, targetLabel: job, replacement: {{ $values.metrics.job | quote }}}
{{- include "secret-rotation-controller.relabelings" $monitor.relabelings }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
{{- include "secret-rotation-controller.relabelings" . }}
{{- end }}
{{- end -}}

{{- /* Writes the default action out. The list is atomic, so one field manager owns all of it. */ -}}
{{- define "secret-rotation-controller.relabelings" -}}
{{- range . }}
- {{ merge (deepCopy .) (dict "action" "replace") | toJson }}
{{- end }}
{{- end -}}

{{- /* The TLS configuration of the values, completed by the name in the certificate and by the CA. Prometheus scrapes pods by
their IP addresses, which are not in the certificate. */ -}}
{{- define "secret-rotation-controller.monitorTls" -}}
{{- $tls := .root.Values.metrics.tls -}}
{{- $own := include "secret-rotation-controller.namespace" .root -}}
{{- $name := printf "%s-metrics.%s.svc" (include "secret-rotation-controller.fullname" .root) $own -}}
{{- $config := merge (deepCopy (default dict .monitor.tlsConfig)) (dict "serverName" $name) -}}
{{- if not (or $config.ca $config.caFile $config.insecureSkipVerify (not $tls.caKey)) -}}
{{- if ne .namespace $own -}}
{{- fail (printf "metrics.%s.tlsConfig.ca is required: in namespace %s it cannot refer to a Secret or a ConfigMap of namespace %s" .key .namespace $own) -}}
{{- end -}}
{{- $source := dict "name" (default $tls.secretName $tls.caConfigMap) "key" $tls.caKey -}}
{{- $config = set $config "ca" (dict (ternary "configMap" "secret" (not (empty $tls.caConfigMap))) $source) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
