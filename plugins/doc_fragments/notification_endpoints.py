# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules for the targets of notifications, of a cluster and of a backup server."""

from __future__ import annotations


class ModuleDocFragment:
    """The targets."""

    DOCUMENTATION = r"""
options:
  endpoints:
    description: The targets.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name, which no other target or matcher has.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      type:
        description: Kind of target. Fixed at creation.
        type: str
        choices: [sendmail, smtp, gotify, webhook]
      comment:
        description: Comment.
        type: str
      disable:
        description: Whether it is switched off.
        type: bool
      mailto:
        description: Mail addresses (V(sendmail), V(smtp)).
        type: list
        elements: str
      mailto_user:
        description: Users whose mail addresses are used (V(sendmail), V(smtp)).
        type: list
        elements: str
      from_address:
        description: Sender of the mails (V(sendmail), V(smtp)).
        type: str
      author:
        description: Name of the sender (V(sendmail), V(smtp)).
        type: str
      server:
        description: Mail server (V(smtp)), or address of the Gotify server (V(gotify)).
        type: str
      port:
        description: Port of the mail server (V(smtp)).
        type: int
      mode:
        description: How the mail server is spoken to (V(smtp)). The default is V(tls).
        type: str
        choices: [insecure, starttls, tls]
      username:
        description: User at the mail server (V(smtp)).
        type: str
      password:
        description: Password at the mail server (V(smtp)). Sent on creation, later only with O(update_secrets).
        type: str
      token:
        description: Token at the Gotify server. Sent on creation, later only with O(update_secrets).
        type: str
      url:
        description: Address to call (V(webhook)). Like headers and body, it may have templates in it.
        type: str
      method:
        description: How it is called (V(webhook)).
        type: str
        choices: [post, put, get]
      headers:
        description: Headers by name, as plain text (V(webhook)).
        type: dict
      body:
        description:
          - Body, as plain text with templates such as C({{ title }}), C({{ message }}), C({{ severity }}),
            C({{ secrets.NAME }}) (V(webhook)). Ansible leaves them alone in C(!unsafe) texts and between
            C({% raw %}) and C({% endraw %}).
        type: str
      secrets:
        description:
          - Secrets for the templates, by name (V(webhook)). Sent on creation and when their names differ,
            otherwise only with O(update_secrets).
        type: dict
  update_secrets:
    description: Whether secrets of targets that exist are sent again, which always counts as a change; the server
      never shows them.
    type: bool
    default: false
"""
