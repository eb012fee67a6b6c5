// Builds a component from one JavaScript file: node componentize.mjs SOURCE WIT WORLD OUTPUT
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: node componentize.mjs SOURCE WIT WORLD OUTPUT");
  process.exit(2);
}
// Randomness stays enabled: without it the component would carry a frozen seed.
const { component } = await componentize({ sourcePath, witPath, worldName });
await writeFile(output, component);
