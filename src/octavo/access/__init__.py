"""Who may call: tokens of this machine, keys of people and services, their roles, and one authority that knows all.

What the metadata says of people, roles and keys reaches every process as a signed document (`AccessDocument`), so a
predictor knows its callers without a database. Beside it stands one private file of tokens on this machine, by which a
project without anybody in it can be entered.
"""

from octavo.access.authority import Authority as Authority
from octavo.access.authority import Callers as Callers
from octavo.access.files import write_private as write_private
from octavo.access.logins import issue_login as issue_login
from octavo.access.logins import redeem_login as redeem_login
from octavo.access.tokens import ACCESS_FILE as ACCESS_FILE
from octavo.access.tokens import LOCAL_TOKEN_FILE as LOCAL_TOKEN_FILE
from octavo.access.tokens import AccessFile as AccessFile
from octavo.access.tokens import Token as Token
from octavo.access.tokens import ensure_admin as ensure_admin
from octavo.access.tokens import local_token as local_token
from octavo.access.tokens import project_access as project_access
