# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What made a molecule scenario fail, from its log: the step, the task and what Ansible said of it, or the tasks that
# changed something in the second run. Failures that a play ignored or rescued stand before it, the clean-up behind it.

/ > [a-z_]+\] .*Executing$/ { step = $0; sub(/^[A-Z]+ +/, "", step); count = 0 }
/^PLAY RECAP / { inside = 0 }
/^(PLAY|TASK|RUNNING HANDLER) \[/ { sub(/ \**$/, ""); task = $0; inside = 0 }
/^(fatal|failed): / { count = 0; said[++count] = task; inside = 1 }
/^CRITICAL Idempotence/ { count = 0; inside = 1 }
/ > [a-z_]+\] .*Executed: Failed/ { exit }
inside && NF && count < 16 { said[++count] = $0 }
NF { last[++recent] = $0 }
END {
  print "  " step
  for (i = 1; i <= count; i++) print "  " said[i]
  for (i = recent > 12 ? recent - 12 : 1; !count && i <= recent; i++) print "  " last[i]
}
