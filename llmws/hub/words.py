"""What the hub's pages say in Chinese. The English sentence is the key, so that a page reads as it will be read."""

from __future__ import annotations

LANGUAGES = ("en", "zh")


def language(accepted: str) -> str:
    """The first of ours that a browser's `Accept-Language` names, else English.

    Example:
        >>> language("zh-CN,zh;q=0.9,en;q=0.8"), language("de, en-GB;q=0.7"), language("")
        ('zh', 'en', 'en')
    """
    tags = [part.split(";")[0].strip().split("-")[0].lower() for part in accepted.split(",")]
    return next((tag for tag in tags if tag in LANGUAGES), "en")


def say(language: str, sentence: str) -> str:
    """`sentence` in this language. One that has no translation is said in English.

    Example:
        >>> say("zh", "Sign in"), say("en", "Sign in")
        ('登录', 'Sign in')
    """
    return CHINESE.get(sentence, sentence) if language == "zh" else sentence


CHINESE = {
    # Sign in and up
    "Sign in": "登录",
    "Sign in with": "使用以下方式登录：",
    "Name": "用户名",
    "Password": "密码",
    "Create an account": "注册账号",
    "New here?": "还没有账号？",
    "Have an account?": "已有账号？",
    "An administrator looks at each new account before it can be used.": "新账号须经管理员批准后才能使用。",
    "At least 10 characters. A few words that say nothing of you are good.": "至少 10 个字符。可用几个与您无关的词。",
    "Up to 32 of a-z, 0-9, '.', '-' and '_', a letter first.": "最多 32 个 a-z、0-9、“.-_”，以字母开头。",
    "Ask for the account": "申请账号",
    "Your account waits for approval": "您的账号正在等待批准",
    "Once an administrator has approved it, you can sign in with your name and password.": (
        "管理员批准后，您即可用用户名和密码登录。"
    ),
    "Back to sign-in": "返回登录",
    "Name or password is wrong, or the account has not been approved.": "用户名或密码错误，或账号尚未获批准。",
    "There were too many attempts. Try again in a few seconds.": "尝试次数过多。请几秒后再试。",
    "There were too many attempts. Try again in a few minutes.": "尝试次数过多。请几分钟后再试。",
    # JupyterHub's own
    "Login form invalid or expired. Try again.": "表单已过期，请重试。",
    # The first administrator
    "The first administrator": "首位管理员",
    "This link makes one account that administers this hub.": "此链接可创建一个管理本平台的账号。",
    "Become administrator": "成为管理员",
    "This link has been used, or is too old.": "此链接已被使用或已过期。",
    "Start the hub for a new one.": "请重新启动平台以获取新链接。",
    "This hub has an administrator.": "本平台已有管理员。",
    "Ask them for an account.": "请向其申请账号。",
    # Password
    "Change password": "修改密码",
    "Present password": "当前密码",
    "New password": "新密码",
    "Your password has been changed, and you are signed out everywhere else.": "密码已修改，其他地方的登录均已退出。",
    "This is not your present password.": "当前密码不正确。",
    "You sign in elsewhere, and have no password here.": "您通过其他服务登录，在此没有密码。",
    "Sign out everywhere": "在所有地方退出",
    "Stops your servers, revokes your tokens and ends every sign-in. What was queued for training goes on.": (
        "停止您的服务器、撤销令牌并退出所有登录。已排队的训练将继续。"
    ),
    # What is no good
    "This is not a name that an account can have.": "此用户名不可用。",
    "Use up to 32 of a-z, 0-9, '.', '-' and '_', a letter first.": "请用最多 32 个 a-z、0-9、“.-_”，以字母开头。",
    "This name cannot be used.": "此用户名不可用。",
    "Choose another one.": "请另选一个。",
    "This password is too long.": "密码过长。",
    "Use at most 1024 characters.": "最多 1024 个字符。",
    "This password is too short.": "密码过短。",
    "Use at least 10 characters; a few words are good.": "至少 10 个字符，可用几个词。",
    "This password is the account's name.": "密码与用户名相同。",
    "Choose one that says nothing of you.": "请选用与您无关的密码。",
    "This password is among the first that are tried.": "此密码过于常见。",
    "Too many sign-ups came from your address.": "来自您地址的注册过多。",
    "Try again in a quarter of an hour.": "请一刻钟后再试。",
    "Too many sign-ups wait for an administrator.": "等待批准的注册过多。",
    "Ask an administrator.": "请联系管理员。",
    # Accounts
    "Accounts": "账号",
    "Waiting for approval": "等待批准",
    "Nobody waits.": "没有等待批准的账号。",
    "People": "成员",
    "Administrators": "管理员",
    "Group": "组",
    "Asked": "申请时间",
    "State": "状态",
    "Approve": "批准",
    "Refuse": "拒绝",
    "Disable": "停用",
    "Enable": "启用",
    "Move": "移动",
    "active": "启用",
    "disabled": "停用",
    "waiting": "等待",
    "no group": "无组",
    "business": "业务",
    "researchers": "研究",
    "admins": "管理",
    "Business people open dashboards, researchers have JupyterLab, administrators run the hub.": (
        "业务人员打开仪表板，研究人员使用 JupyterLab，管理员管理平台。"
    ),
    "Disabling stops a person's servers and signs them out. Moving stops their servers.": (
        "停用会停止其服务器并使其退出登录。移动会停止其服务器。"
    ),
    "There is no such action.": "没有此操作。",
    "There is no such account.": "没有此账号。",
    "It may have been refused meanwhile.": "它可能已被拒绝。",
    "This account has changed meanwhile.": "此账号已发生变化。",
    "Look at the list again.": "请再看一下列表。",
    "You cannot disable or move yourself.": "您不能停用或移动自己。",
    "Ask another administrator.": "请联系另一位管理员。",
    "There is no such group.": "没有此组。",
    "Choose one of the list.": "请从列表中选择。",
    # Home and errors
    "Home": "主页",
    "Servers": "服务器",
    "Sign out": "退出",
    "Open": "打开",
    "Start": "启动",
    "Stop": "停止",
    "Your workspace": "您的工作区",
    "Open the workspace for administration": "打开管理工作区",
    "Only there can notebooks administer llmws. Stop it when you are done.": "仅在其中可管理 llmws。用完请停止。",
    "It is running.": "正在运行。",
    "It is not running. What you saved is there.": "未运行。您保存的内容仍在。",
    "Your account is in no group yet": "您的账号尚未分组",
    "An administrator puts it into one; until then there is nothing to open. Ask them, and sign in again then.": (
        "须由管理员分组后才能使用。请联系管理员，然后重新登录。"
    ),
    "Your workspace is starting": "工作区正在启动",
    "It opens by itself.": "启动后会自动打开。",
    "What happens": "详情",
    "Nothing is here": "此处没有内容",
    "You may not do this": "您无权执行此操作",
    "Something went wrong": "出错了",
    "Go to the start page": "前往主页",
}
