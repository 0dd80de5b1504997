"""What the local pages of fastmlp share: the process, refusals, bodies, headers, the style.

`server` has the socket and the process, `hosts` refuses requests under foreign names, `bodies`
reads what is sent, `answers` makes responses, `pages` what pages have alike.
"""
