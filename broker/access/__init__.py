"""Access: people and programs, the credentials that they show, and the rights that these give.

``principal`` says what is known of somebody, ``tokens`` knows the static tokens, ``desk`` asks them all. The front door
shows each request's credentials to the desk and holds the answer against what the route needs; nothing else in the
product judges a right.
"""
