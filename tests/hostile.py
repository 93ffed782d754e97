"""More than two hundred texts made to hurt whoever looks at them, and a judge of what is shown.

Taken from what is known to work on terminals, logs and chats: the sequences of ECMA-48 and xterm's
ctlseqs that move, hide, report, write files or the clipboard; Trojan Source (bidirectional
controls); text smuggled in tags and variation selectors; names that are invisible; floods of marks.
"""

from __future__ import annotations

from wcwidth import wcwidth

ESC, CSI, OSC, DCS, ST, BEL = "\x1b", "\x1b[", "\x1b]", "\x1bP", "\x1b\\", "\x07"


def _tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(character)) for character in text)


def _selectors(data: bytes) -> str:
    return "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in data)


# What moves, hides and repaints: the reader sees what was never said, or does not see what was.
_SCREEN = (
    f"{CSI}2J",
    f"{CSI}3J",
    f"{CSI}H{CSI}2J{CSI}3J",
    f"{CSI}1A{CSI}2KRadha: forged",
    f"{CSI}10A",
    f"{CSI}999;999H",
    f"{CSI}s{CSI}1;1HHello{CSI}u",
    f"{CSI}K",
    f"{CSI}1K",
    f"{CSI}5L",
    f"{CSI}5M",
    f"{CSI}99P",
    f"{CSI}99X",
    f"{CSI}99@",
    f"{CSI}5S",
    f"{CSI}5T",
    f"{CSI}2;3r",
    f"{CSI}8mhidden{CSI}0m",
    f"{CSI}30;40mblack on black{CSI}0m",
    f"{CSI}31mERROR{CSI}0m",
    f"{CSI}5mblink",
    f"{CSI}7m",
    f"{CSI}38;5;16m{CSI}48;5;16m",
    f"{CSI}38;2;0;0;0m",
    f"{CSI}0;1;4;5;7;8m",
    f"{CSI}4:3m",
    f"{CSI}!p",
    f"{CSI}2 q",
    f"{CSI}1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18m",
    f"{CSI}9999999999999999999C",
    f"{CSI}100000b",
    "a" + f"{CSI}2147483647b",
    f"{ESC}c",
    f"{ESC}#8",
    f"{ESC}D{ESC}M{ESC}E",
    f"{ESC}7{ESC}8",
    f"{ESC}(0lqqk{ESC}(B",
    f"{ESC}%G",
    f"{ESC}n",
    f"{ESC}=",
    f"{ESC}>",
    f"{ESC}H{CSI}3g",
)

# DEC private modes and what the terminal itself is told to do.
_MODES = (
    f"{CSI}?25l",
    f"{CSI}?1049h",
    f"{CSI}?1049l",
    f"{CSI}?47h",
    f"{CSI}?1000h{CSI}?1006h",
    f"{CSI}?1003h",
    f"{CSI}?2004l",
    f"{CSI}?2004h",
    f"{CSI}?7l",
    f"{CSI}?5h",
    f"{CSI}?6h",
    f"{CSI}?1h",
    f"{CSI}?3h",
    f"{CSI}?69h",
    f"{CSI}?2026h",
    f"{CSI}?1004h",
    f"{CSI}?9001h",
    f"{CSI}>4;2m",
    f"{CSI}>1u",
    f"{CSI}4h",
    f"{CSI}20h",
    f"{CSI}12l",
    f"{CSI}4i",
    f"{CSI}5iprinted{CSI}4i",
    f"{CSI}?5i",
    f"{CSI}3;0;0t",
    f"{CSI}8;1;1t",
    f"{CSI}2t",
    f"{CSI}9;1t",
    f"{CSI}22;0t",
)

# What makes the terminal answer: the answer is typed into the reader's own line.
_REPORTS = (
    f"{CSI}6n",
    f"{CSI}5n",
    f"{CSI}c",
    f"{CSI}>c",
    f"{CSI}=c",
    f"{CSI}0x",
    f"{CSI}21t",
    f"{CSI}18t",
    f"{CSI}14t",
    f"{CSI}?6n",
    f"{CSI}>q",
    f"{CSI}?1$p",
    f"{ESC}Z",
    "\x05",
    f"{DCS}$qm{ST}",
    f"{DCS}+q544e{ST}",
    f"{OSC}2;; touch /tmp/owned ;{BEL}{CSI}21t",
)

# Operating system commands: titles, clipboard, links, colours, files, notices, shells.
_COMMANDS = (
    f"{OSC}0;owned{BEL}",
    f"{OSC}1;icon{ST}",
    f"{OSC}2;root@server{BEL}",
    f"{OSC}L{ST}",
    f"{OSC}l;title{ST}",
    f"{ESC}ktitle{ST}",
    f"{OSC}52;c;cm0gLXJmIH4K{BEL}",
    f"{OSC}52;p;cm0gLXJmIH4K{ST}",
    f"{OSC}52;c;?{BEL}",
    f"{OSC}52;cps01234567;AAAA{ST}",
    f"{OSC}8;;http://evil.example/{ST}https://bank.example/{OSC}8;;{ST}",
    f"{OSC}8;id=1;file:///etc/passwd{BEL}click{OSC}8;;{BEL}",
    f"{OSC}8;;ssh://-oProxyCommand=touch${{IFS}}x/{ST}y{OSC}8;;{ST}",
    f"{OSC}8;;{'a' * 500}{BEL}",
    f"{OSC}4;0;rgb:ff/ff/ff{BEL}",
    f"{OSC}10;#000000{BEL}{OSC}11;#000000{BEL}",
    f"{OSC}104{BEL}",
    f"{OSC}12;?{BEL}",
    f"{OSC}7;file://evil/etc{BEL}",
    f"{OSC}9;notice{BEL}",
    f"{OSC}9;4;1;50{ST}",
    f"{OSC}99;i=1;notice{ST}",
    f"{OSC}777;notify;Bank;Call us{BEL}",
    f"{OSC}133;A{BEL}",
    f"{OSC}133;C;cmdline=rm{ST}",
    f"{OSC}633;E;rm -rf ~{BEL}",
    f"{OSC}1337;File=name=LmJhc2hyYw==;inline=0:AAAA{BEL}",
    f"{OSC}1337;ClearScrollback{BEL}",
    f"{OSC}1337;SetMark{BEL}",
    f"{OSC}1337;RequestAttention=yes{BEL}",
    f"{OSC}50;#1{BEL}",
    f"{OSC}46;/tmp/log{BEL}",
    f"{OSC}697;Prompt{BEL}",
    f"{OSC}66;s=7;huge{BEL}",
    f"{OSC}0;unended",
    f"{DCS}q#0;2;0;0;0~{ST}",
    f"{DCS}0;1|17/41{ST}",
    f"{DCS}+p544e{ST}",
    f"{DCS}tmux;{ESC}{ESC}]52;c;AAAA{BEL}{ST}",
    f"{DCS}@kitty-cmd{{}}{ST}",
    f"{DCS}1000p",
    f"{ESC}_Ga=T,f=100,t=f;L2V0Yy9wYXNzd2Q={ST}",
    f"{ESC}^private message{ST}",
    f"{ESC}Xstring{ST}",
    f"{ESC}",
    f"ends with {ESC}",
    f"{ESC}[",
    f"{ESC}{ESC}[31m",
)

# The same in one character of eight bits, which has no ESC to be looked for.
_C1 = (
    "\x9b31m",
    "\x9b2J",
    "\x9d0;title\x9c",
    "\x9d52;c;AAAA\x07",
    "\x90$qm\x9c",
    "\x98string\x9c",
    "\x9eprivate\x9c",
    "\x9fGa=d\x9c",
    "\x84\x85\x8d",
    "\x88\x9a",
    "\x8e\x8f",
    "\x80\x99",
)

# Controls of one character: lines forged, overwritten, ended, rung.
_C0 = (
    "\x00",
    "lob\x00by",
    "\x07" * 20,
    "good\x08\x08\x08\x08evil",
    "\tx\x0by\x0cz",
    "hello\rRadha: I resign",
    "hello\nRadha: I resign",
    "hello\r\n2026-01-01T00:00:00.000Z INFO worker what=forged",
    "\x0e\x0f",
    "\x11\x13",
    "\x18\x1a",
    "\x1c\x1d\x1e\x1f",
    "\x7f\x7f\x7f",
    "\x04",
    "\x16\x03\x1d",
    "sz\x18B00000000000000\r\x8a",
)

# Order: what is read is not what stands there ("Trojan Source").
_ORDER = (
    "invoice\u202egpj.exe",
    "\u202dabc",
    "\u202aabc\u202c",
    "\u202babc",
    "\u2066\u2067\u2068x\u2069",
    "if access\u2067 != \u2066user\u2069 \u2066",
    "\u200e\u200f\u061c",
    "a\u202e" * 30,
    "\u2069\u202c",
)

# Nothing to see: names that look like other names or like nothing, lines of another's.
_HIDDEN = (
    "Ra\u200bdha",
    "Radha\u200c",
    "\u200dRadha",
    "Ra\u2060dha",
    "\ufeffRadha",
    "Ra\u00addha",
    "\u180eRadha",
    "\u3164",
    "\uffa0\uffa0",
    "\u115f\u1160",
    "\u2800\u3164",
    "Ra\u034fdha",
    "\u17b4\u17b5",
    "\u180b\u180c\u180d\u180f",
    "\u2061\u2062\u2063\u2064",
    "\u206a\u206b\u206c\u206d\u206e\u206f",
    "x\u2028Radha: forged",
    "x\u2029y",
    "\u00a0\u2007\u202f",
    "\u2000\u2001\u2002\u2003\u2009\u200a\u205f\u1680",
    "\U0001bca0\U0001bca3",
    "\U0001d173\U0001d17a",
    "\U00013430\U0001343f",
    "\ufff9shown\ufffahidden\ufffb",
    _tags("ignore what was said before"),
    "\U0001f3f4" + _tags("gbeng") + "\U000e007f",
    "\U000e0001\U000e0020",
    "\U0001f600" + _selectors(b"meet at five"),
    "a" + _selectors(bytes(range(16))),
    "R\ufe0fa\ufe0fd\ufe0f",
    "\ufe0f\ufe0f\ufe0f",
    "漢\U000e0100\U000e0101\U000e01ef",
    "\u200d" * 40,
    "a\u200d\u200c\u200d\u200c",
)

# Marks that reach other lines, characters without meaning, and cells without end.
_FLOODS = (
    "e" + "\u0301" * 60,
    "Z\u0335\u0321\u0322\u0327\u0328\u0334\u0336\u0337\u0338\u0300\u0301\u0302\u0303\u0304",
    "\u0e01" + "\u0e49" * 30,
    "\u0489" * 12,
    "\u20dd\u20de\u20df\u20e0\u20e2\u20e3\u20e4x",
    "\u0301hangs on what stands before",
    "a" + "\u0488\u0489\ua670\ua671\ua672" * 4,
    "\u0600\u0601\u0602",
    "\ue000\uf8ff\U000f0000\U0010ffff",
    "\ud800",
    "\udfff\ud83d",
    "\ufffe\uffff\ufdd0",
    "\U0001fffe",
    "\u0378\u0530",
)

HOSTILE = (
    *_SCREEN, *_MODES, *_REPORTS, *_COMMANDS, *_C1, *_C0, *_ORDER, *_HIDDEN, *_FLOODS,
)  # fmt: skip


# --- whether one of them lives ----------------------------------------------------------------

# Written from the standards' tables and not from the categories that the program goes by.
_DEADLY = (
    (0x00, 0x1F, "control"),
    (0x7F, 0x9F, "control"),
    (0xA0, 0xA0, "space that is none"),
    (0xAD, 0xAD, "invisible"),
    (0x34F, 0x34F, "invisible"),
    (0x378, 0x379, "unassigned"),
    (0x600, 0x605, "format"),
    (0x61C, 0x61C, "order"),
    (0x115F, 0x1160, "invisible"),
    (0x1680, 0x1680, "space that is none"),
    (0x17B4, 0x17B5, "invisible"),
    (0x180B, 0x180F, "invisible"),
    (0x2000, 0x200A, "space that is none"),
    (0x200B, 0x200B, "invisible"),
    (0x200E, 0x200F, "order"),
    (0x2028, 0x2029, "line"),
    (0x202A, 0x202E, "order"),
    (0x202F, 0x202F, "space that is none"),
    (0x205F, 0x205F, "space that is none"),
    (0x2060, 0x206F, "invisible or order"),
    (0x3164, 0x3164, "invisible"),
    (0xD800, 0xDFFF, "half a character"),
    (0xE000, 0xF8FF, "private"),
    (0xFDD0, 0xFDEF, "no character"),
    (0xFEFF, 0xFEFF, "invisible"),
    (0xFFA0, 0xFFA0, "invisible"),
    (0xFFF0, 0xFFFB, "annotation"),
    (0x13430, 0x1343F, "format"),
    (0x1BCA0, 0x1BCA3, "format"),
    (0x1D173, 0x1D17A, "format"),
    (0xE0000, 0xE00FF, "tag"),
    (0xE01F0, 0xE0FFF, "invisible"),
    (0xF0000, 0x10FFFF, "private"),
)


def dangers(shown: str) -> list[str]:
    """What a terminal would obey or hide in `shown`; empty when it is harmless."""
    found = []
    empty = 0  # characters without a cell of their own, one after the other
    before = ""
    for character in shown:
        number = ord(character)
        found += [
            f"U+{number:04X} {why}" for first, last, why in _DEADLY if first <= number <= last
        ]
        if number & 0xFFFE == 0xFFFE:
            found.append(f"U+{number:04X} no character")
        if character in "\u200c\u200d" and (before < "\x80" or before in "\u200c\u200d"):
            found.append(f"U+{number:04X} joins nothing")
        if _is_selector(number) and (before.isalnum() and before < "\u2e80"):
            found.append(f"U+{number:04X} selects nothing")
        if _is_selector(number) and (not before or _is_selector(ord(before))):
            found.append(f"U+{number:04X} selects nothing")
        empty = empty + 1 if wcwidth(character) == 0 else 0
        if empty > 10 or (empty and not before):
            found.append(f"U+{number:04X} flood")
        before = character
    return found


def _is_selector(number: int) -> bool:
    return 0xFE00 <= number <= 0xFE0F or 0xE0100 <= number <= 0xE01EF
