"""What a name and a password may be, and how a password is kept.

Names are compared after NFKC and case folding, and then are plain ASCII: nobody can sign up under a name that looks
like another's. Of a password only its length counts, and that it is not what everybody tries first (NIST SP 800-63B,
5.1.1.2: no rules about kinds of characters). argon2 runs with argon2-cffi's own parameters; a hash made with older
ones is made anew when its password is next at hand.
"""

from __future__ import annotations

import re
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ..errors import InvalidRequest

PASSWORD_SHORTEST = 10
PASSWORD_LONGEST = 1024
NAME_LONGEST = 32

_NAME = re.compile(rf"[a-z][a-z0-9_.-]{{0,{NAME_LONGEST - 1}}}")
# Names that a page of the hub, the system or one of ours goes by, and those that would pass for somebody in charge.
_RESERVED = """
accounts admin administrator administrators admins anonymous api business culler daemon everyone first guest
health home hub hubadmin idle jupyter jupyterhub llmws llmws-runner login logo logout metrics moderator nobody
null oauth operator owner password proxy researchers root runner security self service services share shared
sign-in sign-out sign-up signin signout signup spawn static staff superuser support sysadmin system token
trainer trainers undefined user users webmaster www
"""
# What is tried first, of those that are long enough.
_COMMON = """
0123456789 0987654321 1029384756 11223344556 1122334455 112233445566 1234554321 1234567890 12345678900
12345678901 1234567891 12345678910 123456789a 123456789q 123123123123 123qweasdzxc 1q2w3e4r5t
1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv 3.141592653 9876543210 abc123456789 abcd123456 abcdefghij
abcdefghijk administrator adminadmin admin12345 admin123456 asdfghjkl1 asdfghjkl; asdfasdfasdf
changeme123 christopher correcthorse elizabeth1 football123 helloworld iloveyou12 iloveyou123 iloveyouso
jupyterhub jupyternotebook letmein123 letmeinplease michelle123 mypassword password00 password01 password11
password12 password123 password1234 password12345 password1! passwordpassword passw0rd123 p@ssw0rd123 princess12
q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedcrfv qwerty1234 qwerty12345 qwerty123456 qwertyqwerty qwertyuiop qwertyuiop1
qwertyuiop123 qwertyuiop[] qwe123qwe123 secret1234 starwars123 sunshine12 superman12 test123456 testtest12
testtesttest thisisapassword trustno1234 unbelievable welcome123 welcome1234 woaini1314520 zaq12wsxcde3
zxcvbnm123 zxcvbnm,./
"""

_hasher = PasswordHasher()


def normal_name(name: str) -> str:
    """The one spelling of a name, whether it may be one or not.

    Example:
        >>> normal_name("  Ａda "), normal_name("ADA")
        ('ada', 'ada')
    """
    # Folding may leave what NFKC would change again; and nobody's name is so long that the rest matters.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name[:256]).casefold()).strip()


def is_name(name: str) -> bool:
    """Whether this, in its one spelling, has the form of a name.

    Example:
        >>> [is_name(name) for name in ("ada", "ada.l-2", "2ada", "..", "аda", "ada/x", "a" * 33)]
        [True, True, False, False, False, False, False]
    """
    return _NAME.fullmatch(name) is not None


def check_new_name(name: str) -> str:
    """The one spelling of a name that somebody chose; `InvalidRequest` where nobody can have it."""
    name = normal_name(name)
    if not is_name(name):
        raise InvalidRequest(
            "This is not a name that an account can have.",
            remedy="Use up to 32 of a-z, 0-9, '.', '-' and '_', a letter first.",
        )
    if name in _RESERVED.split():
        raise InvalidRequest("This name cannot be used.", remedy="Choose another one.")
    return name


def check_new_password(password: str, name: str) -> None:
    """Raise `InvalidRequest` where `password` is no good one for the account `name`."""
    plain = _normal_password(password).casefold()
    if len(password) > PASSWORD_LONGEST:
        raise InvalidRequest("This password is too long.", remedy="Use at most 1024 characters.")
    if len(plain) < PASSWORD_SHORTEST:
        raise InvalidRequest("This password is too short.", remedy="Use at least 10 characters; a few words are good.")
    if plain in (name, name * 2, name[::-1]) or plain.strip("0123456789!._- ") == name:
        raise InvalidRequest("This password is the account's name.", remedy="Choose one that says nothing of you.")
    if plain in _COMMON.split() or len(set(plain)) < 4:
        raise InvalidRequest("This password is among the first that are tried.", remedy="Choose another one.")


def hash_password(password: str) -> str:
    """The argon2 hash to keep; takes some 50 ms and 64 MiB, as it is meant to."""
    return _hasher.hash(_normal_password(password))


def matches(password_hash: str, password: str) -> bool:
    """Whether this is the password, in the same time for a right and a wrong one."""
    try:
        return _hasher.verify(password_hash, _normal_password(password[:PASSWORD_LONGEST]))
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def _normal_password(password: str) -> str:
    # One spelling for what different keyboards send for the same characters, as NIST asks for. What cannot be
    # written as UTF-8 (a lone surrogate) cannot be hashed.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode("utf-8")
