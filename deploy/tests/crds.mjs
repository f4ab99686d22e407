// Checks custom resources (a JSON list on stdin) as an API server would: no field that the schema
// does not know, by the type checker; no value that it does not allow, by the compiled schema.
// Prints one line a fault, and ends with 1 when there is any.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const packages = {
  "cert-manager.io": "@kubernetes-models/cert-manager",
  "keda.sh": "@kubernetes-models/keda",
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};
const faults = [];
const folder = mkdtempSync(join(process.cwd(), "crds-"));
try {
  const objects = JSON.parse(readFileSync(0, "utf8"));
  const files = [];
  for (const [index, object] of objects.entries()) {
    const [group] = object.apiVersion.split("/");
    const name = `${object.kind}/${object.metadata.name}`;
    if (!packages[group]) {
      faults.push(`${name}: no schema for ${object.apiVersion}`);
      continue;
    }
    const module = `${packages[group]}/${object.apiVersion}/${object.kind}`;
    try {
      new (await import(module))[object.kind](object).validate();
    } catch (error) {
      faults.push(`${name}: ${error.message}`);
    }
    const file = join(folder, `${index}.ts`);
    writeFileSync(
      file,
      `import type { I${object.kind} } from "${module}";\n` +
        `export const object: I${object.kind} = ${JSON.stringify(object, null, 1)};\n`,
    );
    files.push(file);
  }
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
  });
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    faults.push(ts.flattenDiagnosticMessageText(diagnostic.messageText, " "));
  }
} finally {
  rmSync(folder, { recursive: true });
}
for (const fault of faults) console.log(fault);
process.exit(faults.length ? 1 : 0);
