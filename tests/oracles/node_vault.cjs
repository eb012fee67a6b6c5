// node-vault at an agent that lends its token: node_vault.cjs ADDRESS OWN_TOKEN. Prints what it saw.
"use strict";

const vault = require("node-vault");

const [endpoint, own] = process.argv.slice(2);

async function main() {
  const client = vault({ endpoint });
  const read = async (path) => (await client.read(`secret/data/${path}`)).data.data;
  const statusOf = (path) =>
    read(path).then(
      () => 200,
      (error) => error.response.statusCode,
    );
  const seen = { read: (await read("app")).password };
  await client.write("secret/data/write/node", { data: { a: "b" } });
  seen.written = (await read("write/node")).a;
  seen.missing = await statusOf("write/missing");
  seen.forbidden = await statusOf("other");
  seen.own = (await vault({ endpoint, token: own }).tokenLookupSelf()).data.id;
  seen.sealed = (await client.status()).sealed;
  console.log(JSON.stringify(seen));
}

main();
