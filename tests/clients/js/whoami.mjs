// Who it is by whatever credentials the SDK for JavaScript finds, or by the provider that is named: once for each line it is
// sent, so that time can pass in between.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.JS_CLIENTS}/`);
const { GetCallerIdentityCommand, STSClient } = require("@aws-sdk/client-sts");
const providers = require("@aws-sdk/credential-providers");

const provider = {
  sso: () => providers.fromSSO({ profile: process.env.AWS_PROFILE }),
  http: () => providers.fromHttp({}),
  container: () => providers.fromContainerMetadata({ timeout: 2000 }),
  process: () => providers.fromProcess({ profile: process.env.AWS_PROFILE }),
  chain: () => providers.fromNodeProviderChain(),
}[process.argv[2]]();
const sts = new STSClient({ credentials: provider });
for await (const _ of createInterface({ input: process.stdin })) {
  try {
    const { Arn: arn } = await sts.send(new GetCallerIdentityCommand({}));
    console.log(JSON.stringify({ arn, key: (await sts.config.credentials()).accessKeyId }));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.name}: ${error.message}`, Code: error.Code, Message: error.Message }));
  }
}
