// A company's sign-in for the tests: the certified oidc-provider with its forms for development, where any password is
// right. What it is to be comes as JSON in PROVIDER: {port, secret, redirect, people: {NAME: [GROUP, …]}}.
import { Provider } from "oidc-provider";

const { port, secret, redirect, people } = JSON.parse(process.env.PROVIDER);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "llmws",
      client_secret: secret,
      redirect_uris: [redirect],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "client_secret_post",
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  routes: { userinfo: "/userinfo" },
  // As Keycloak does: whoever may sign in gets a token that outlives the short one.
  issueRefreshToken: (_context, client) => client.grantTypeAllowed("refresh_token"),
  ttl: { AccessToken: 300, Grant: 86_400, Interaction: 600, RefreshToken: 86_400, Session: 86_400 },
  findAccount: (_context, name) => ({
    accountId: name,
    claims: () => ({ sub: name, preferred_username: name, groups: people[name] ?? [] }),
  }),
});
// Groups change while it runs: a line of JSON replaces who is in which.
process.stdin.on("data", (line) => Object.assign(people, JSON.parse(line)));
provider.listen(port, "127.0.0.1", () => console.log("ready"));
