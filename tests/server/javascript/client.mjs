// A workload played by the JavaScript SDK: client.mjs PROTOCOL URL TEMPORALITY WORKLOAD (a file of rounds as JSON)
import { readFileSync } from "node:fs";
import { ValueType } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";

const [protocol, url, temporality, file] = process.argv.slice(2);
const { resource, bounds, rounds } = JSON.parse(readFileSync(file, "utf-8"));
process.env.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE = temporality;
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${protocol}`);
const provider = new MeterProvider({
  resource: resourceFromAttributes(resource),
  views: [
    {
      instrumentName: "took",
      aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: bounds } },
    },
    { instrumentName: "exact", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
  ],
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url }), exportIntervalMillis: 3600000 })],
});
const meter = provider.getMeter("app");
// The SDK tells times apart by the millisecond.
const moment = () => new Promise((resolve) => setTimeout(resolve, 5));
let round;
const observed = (create, name, options) =>
  meter[create](name, options).addCallback((result) =>
    round[name].forEach(([value, attributes]) => result.observe(value, attributes)),
  );
const instruments = {
  orders: meter.createCounter("orders", { valueType: ValueType.INT }),
  spent: meter.createCounter("spent", { unit: "euros" }),
  inside: meter.createUpDownCounter("inside", { valueType: ValueType.INT }),
  depth: meter.createGauge("depth", { unit: "1" }),
  took: meter.createHistogram("took", { unit: "s" }),
  exact: meter.createHistogram("exact", { unit: "s" }),
};
observed("createObservableCounter", "seen", { valueType: ValueType.INT });
observed("createObservableUpDownCounter", "left");
observed("createObservableGauge", "level", { unit: "Cel" });
for (round of rounds) {
  for (const [name, instrument] of Object.entries(instruments)) {
    const measure = (instrument.add ?? instrument.record).bind(instrument);
    round[name].forEach(([value, attributes]) => measure(value, attributes));
  }
  await moment();
  await provider.forceFlush();
  await moment();
}
await provider.shutdown();
