"""An egress that ends gives its sockets and its sessions to its successor on the same machine; viewers notice nothing.

Rules:

* **At most one of the two may ever encrypt with a session's keys.** The predecessor stops, tells everything, and waits
  for the word that the successor has it all; until then it can go on. Then it lets the sockets go with one message,
  ``Go``. Once the kernel has taken that, the predecessor sends nothing of these sessions, whatever happens, and forgets
  them; the successor sends nothing before it has read it. If the successor dies in between, its sessions are lost, as
  when any process dies, and no nonce comes twice. Where it waits in vain it shuts the channel first, and then looks:
  ``Go`` is there, or can never be said.
* Sessions are told twice: in advance, so that the successor has made them when the predecessor stops, and then what
  has changed since. What was made in advance sends nothing and is sent nothing before ``Go``.
* One session that cannot be told, or not be made of what was told, is left behind alone: it ends with the predecessor.
* Numbers go on: sequence numbers with their rollover counters, SRTCP's indices both ways, the octets and packets of
  sender reports. What was encrypted under a number is not encrypted again as anything else: of packets that the
  predecessor sent, the successor repeats by RTX alone, which has numbers of its own.
* The successor has the same sources (``egress.media.feed.Source``) and timelines, and reads the same renditions before
  it takes over: it finds the predecessor's next packet by its epoch and number there. A viewer whose next packet is
  not found goes on at a keyframe.
* Not moved are sessions whose handshake is under way, and those by the page's own port: their players make new ones.
* What is read is bounded and validated as if a stranger had sent it. Only a process is spoken to that our supervisor
  has started.

``states`` is what is told of a session: ``parting`` makes it of one, ``resuming`` a session of it, ``advance`` knows
what was said before, ``places`` finds the next packet. ``words`` are all that is said, and ``telling`` says them;
``channel`` is the socket between both, ``predecessor`` and ``successor`` are the two ends.
"""
