"""JupyterHub's configuration for llmws: which part of ours stands where. `llmws hub` starts the hub with it.

What is particular to one place (sign-in by OIDC, limits, other spawners) goes into `config.py` in the hub's own folder,
`hub/` below the state folder. It is read last; `oidc.py` beside this file is an example of one.
"""

from llmws.hub import pages, proxy, renewal, roles
from llmws.hub.authenticator import AccountsAuthenticator
from llmws.hub.services import services, watch_closely
from llmws.hub.spawner import OneAccount, OwnAccount
from llmws.hub.state import State, is_isolated
from llmws.settings import Settings, forget_master_key

c = get_config()  # noqa: F821 - JupyterHub gives it

settings = Settings.from_environment()
forget_master_key()  # the proxy gets all of the hub's environment
state = State(settings.hub_state)
ports = state.ports()

c.JupyterHub.db_url = f"sqlite:///{state.hub / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(state.hub / "cookie_secret")
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{ports.hub}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{ports.proxy}"
c.ConfigurableHTTPProxy.command = proxy.command(state.folder)
# What a provider of identities says of people is kept encrypted, where `config.py` asks for that.
c.CryptKeeper.keys = [state.secret("crypt_key")]
c.ConfigurableHTTPProxy.pid_file = str(state.hub / "proxy.pid")

# A restart of the hub finds people's servers where it left them.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cookie_max_age_days = 1
c.JupyterHub.oauth_token_expires_in = renewal.LIFETIME_S
renewal.renew_what_is_used()
c.JupyterHub.authenticate_prometheus = True
# A page that is merely open answers pings, which the proxy takes for activity. Servers say themselves what they do.
c.JupyterHub.last_activity_interval = 0

c.JupyterHub.authenticator_class = AccountsAuthenticator
c.AccountsAuthenticator.folder = str(state.hub)
c.JupyterHub.template_paths = [str(pages.TEMPLATES)]
c.JupyterHub.template_vars = pages.template_vars()
if not is_isolated():
    c.JupyterHub.template_vars["announcement"] = (
        "This hub runs under one account: nothing keeps the people on it apart. It is for trying out only."
    )

c.JupyterHub.custom_scopes = roles.SCOPES
c.JupyterHub.load_groups = {name: {"users": []} for name in roles.GROUPS}
c.JupyterHub.load_roles = roles.ROLES
c.JupyterHub.services = services(state, settings)
watch_closely()

c.JupyterHub.spawner_class = OwnAccount if is_isolated() else OneAccount
c.PersonSpawner.state_folder = str(state.folder)
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 1
c.Spawner.start_timeout = c.Spawner.http_timeout = 90
c.Spawner.poll_interval = 5
c.LocalProcessSpawner.interrupt_timeout = c.LocalProcessSpawner.term_timeout = 10

if (own := state.hub / "config.py").exists():
    load_subconfig(str(own))  # noqa: F821 - JupyterHub gives it
