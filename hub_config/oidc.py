"""Sign-in by an OpenID Connect provider. Copy it to `hub/config.py` below the hub's state folder, and fill it in.

The provider's groups become the hub's: `business`, `researchers` and `admins` are those that mean something here. The
client's secret lies in a file beside it, which only root can read.
"""

from pathlib import Path

from oauthenticator.generic import GenericOAuthenticator

c = get_config()  # noqa: F821 - JupyterHub gives it

HUB = "https://hub.example.org"
PROVIDER = "https://id.example.org/realms/main/protocol/openid-connect"

c.JupyterHub.authenticator_class = GenericOAuthenticator
# Where the provider manages the groups, the hub makes none itself.
c.JupyterHub.load_groups = {}
c.GenericOAuthenticator.manage_groups = True
c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"
c.GenericOAuthenticator.allowed_groups = {"business", "researchers", "admins"}
c.GenericOAuthenticator.enable_auth_state = True

c.GenericOAuthenticator.client_id = "llmws"
c.GenericOAuthenticator.client_secret = Path(__file__).with_name("oidc_secret").read_text().strip()
c.GenericOAuthenticator.oauth_callback_url = f"{HUB}/hub/oauth_callback"
c.GenericOAuthenticator.authorize_url = f"{PROVIDER}/auth"
c.GenericOAuthenticator.token_url = f"{PROVIDER}/token"
c.GenericOAuthenticator.userdata_url = f"{PROVIDER}/userinfo"
c.GenericOAuthenticator.scope = ["openid", "profile", "groups"]
c.GenericOAuthenticator.username_claim = "preferred_username"
c.GenericOAuthenticator.login_service = "your company's account"
