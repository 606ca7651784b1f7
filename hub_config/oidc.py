"""Sign-in by an OpenID Connect provider. Copy it to `hub/config.py` below the hub's state folder, and fill it in.

The client's secret lies in a file beside it, `oidc_secret`, which only root can read. The addresses are Keycloak's;
another provider says its own at `ISSUER/.well-known/openid-configuration`.
"""

from pathlib import Path

from llmws.hub.oidc import OIDCAuthenticator

c = get_config()  # noqa: F821 - JupyterHub gives it

HUB = "https://hub.example.org"
PROVIDER = "https://id.example.org/realms/main/protocol/openid-connect"
HERE = Path(__file__).parent

c.JupyterHub.authenticator_class = OIDCAuthenticator
c.OIDCAuthenticator.folder = str(HERE)
# The provider manages the groups: the hub makes none itself.
c.JupyterHub.load_groups = {}
# The provider's name of a group, and what it is here. Who is in none of them starts no server.
c.OIDCAuthenticator.groups = {"business": "business", "researchers": "researchers", "admins": "admins"}
c.OIDCAuthenticator.groups_claim = "groups"

c.OIDCAuthenticator.client_id = "llmws"
c.OIDCAuthenticator.client_secret = (HERE / "oidc_secret").read_text().strip()
c.OIDCAuthenticator.oauth_callback_url = f"{HUB}/hub/oauth_callback"
c.OIDCAuthenticator.authorize_url = f"{PROVIDER}/auth"
c.OIDCAuthenticator.token_url = f"{PROVIDER}/token"
c.OIDCAuthenticator.userdata_url = f"{PROVIDER}/userinfo"
c.OIDCAuthenticator.scope = ["openid", "profile", "groups"]
# Homes and uids go by this name: one that people cannot change, and that nobody is given a second time.
c.OIDCAuthenticator.username_claim = "preferred_username"
c.OIDCAuthenticator.login_service = "your company's account"
