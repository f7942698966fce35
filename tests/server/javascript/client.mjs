// Two collections of all instrument kinds by the JavaScript SDK: client.mjs PROTOCOL URL TEMPORALITY HISTOGRAM
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";

const [protocol, url, temporality, histogram] = process.argv.slice(2);
process.env.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE = temporality;
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${protocol}`);
const options = histogram === "EXPLICIT_BUCKET_HISTOGRAM" ? { boundaries: [0.1, 1] } : undefined;
const provider = new MeterProvider({
  resource: resourceFromAttributes({ "service.name": "shop", "service.instance.id": "js-1" }),
  views: [{ instrumentName: "took", aggregation: { type: AggregationType[histogram], options } }],
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url }), exportIntervalMillis: 3600000 })],
});
const meter = provider.getMeter("app");
const orders = meter.createCounter("orders");
const inside = meter.createUpDownCounter("inside");
const depth = meter.createGauge("depth");
const took = meter.createHistogram("took", { unit: "s" });
let seen = 0;
meter.createObservableCounter("seen").addCallback((result) => result.observe((seen += 5)));
meter.createObservableUpDownCounter("left").addCallback((result) => result.observe(-seen));
meter.createObservableGauge("level").addCallback((result) => result.observe(seen / 4));
for (const round of [1, 2]) {
  orders.add(3, { kind: "a", ok: true });
  orders.add(0.5, { kind: "b", ok: false });
  inside.add(-1);
  depth.record(round / 2);
  took.record(0.25);
  took.record(0.75);
  await provider.forceFlush();
}
await provider.shutdown();
