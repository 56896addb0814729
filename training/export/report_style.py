"""The evaluation report's look: the colours of the web page, light and dark."""

CSS = """
:root{color-scheme:light dark;--paper:#f6f5f2;--surface:#fff;--sunken:#efede8;--ink:#1d2126;
--soft:#575e67;--line:#e0ddd6;--accent:#0b6b62;--wash:#e2f0ed;--odd:#a8221a}
@media (prefers-color-scheme:dark){:root{--paper:#141618;--surface:#1d2023;--sunken:#24282c;
--ink:#e9e7e2;--soft:#a7adb5;--line:#31363b;--accent:#6fd3c4;--wash:#18302d;--odd:#ffb1a8}}
*{box-sizing:border-box}
html{font:100%/1.5 -apple-system,BlinkMacSystemFont,"Segoe UI",Roboto,Inter,"Noto Sans",system-ui,
sans-serif;-webkit-text-size-adjust:100%;scroll-padding-top:4rem}
body{margin:0;background:var(--paper);color:var(--ink);overflow-wrap:anywhere}
main,.head{max-width:76rem;margin:0 auto;padding:0 1.25rem}
.head{padding-top:2.5rem}
h1{font-size:clamp(1.6rem,1.2rem + 2vw,2.4rem);line-height:1.15;letter-spacing:-.02em;
margin:.2rem 0}
h2{font-size:1.3rem;letter-spacing:-.01em;margin:0 0 .25rem}
h2+.charts{margin-top:.8rem}
.kicker,.note{color:var(--soft)}
.kicker{margin:0;font-weight:600;font-size:.85rem;letter-spacing:.06em;text-transform:uppercase}
.note{margin:0 0 1rem;max-width:46rem}
.facts{display:flex;flex-wrap:wrap;gap:.4rem;list-style:none;margin:.9rem 0 0;padding:0}
.facts li{background:var(--sunken);border-radius:999px;padding:.15rem .75rem;font-size:.88rem}
nav{position:sticky;top:0;z-index:1;background:var(--paper);border-bottom:1px solid var(--line);
margin-top:1.5rem}
nav ul{max-width:76rem;margin:0 auto;padding:0 1.25rem;display:flex;gap:1.4rem;overflow-x:auto;
list-style:none}
nav a{display:block;padding:.8rem 0;color:var(--soft);text-decoration:none;white-space:nowrap}
nav a:hover{color:var(--accent)}
section{margin:2.5rem 0 3.5rem}
.scores{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.4rem,1fr));gap:.75rem;margin:0}
.scores div{background:var(--surface);border:1px solid var(--line);border-radius:14px;
padding:.9rem 1rem}
.scores dt{color:var(--soft);font-size:.9rem}
.scores dd{margin:0;font-size:clamp(1.25rem,1rem + 1.6vw,1.75rem);white-space:nowrap;
font-weight:650;letter-spacing:-.02em;line-height:1.25;
font-variant-numeric:tabular-nums}
.scores .main{background:var(--wash);border-color:transparent}
.scores .main dd{color:var(--accent)}
.panel{background:var(--surface);border:1px solid var(--line);border-radius:14px;
padding:1rem 1.1rem}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:.75rem}
.charts h3{margin:0 0 .4rem;font-size:1rem;display:flex;justify-content:space-between;gap:1rem}
.charts h3 span{color:var(--accent);font-variant-numeric:tabular-nums}
figure{margin:0}
svg{display:block;width:100%;height:auto;font:15px system-ui,sans-serif}
svg text{fill:var(--soft)}
.grid{stroke:var(--line)}
.line{fill:none;stroke:var(--accent);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dot,.best{fill:var(--accent)}
.best{stroke:var(--surface);stroke-width:2}
.bar{fill:var(--accent)}
table{border-collapse:collapse;width:100%;margin-top:.75rem}
.panel table{margin:0}
th,td{text-align:left;padding:.45rem .6rem .45rem 0;border-bottom:1px solid var(--line);
vertical-align:top;font-weight:400}
tr:last-child>*{border-bottom:0}
td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;width:6rem;
padding-right:1.2rem}
td.note,th.note{font-size:.92rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,17.5rem),1fr));gap:1rem;
list-style:none;margin:0;padding:0}
.card{background:var(--surface);border:1px solid var(--line);border-radius:14px;overflow:hidden;
display:flex;flex-direction:column}
.card .picture{position:relative;background:var(--sunken)}
.card img{display:block;width:100%;aspect-ratio:4/3;object-fit:contain}
.card .missing{aspect-ratio:4/3;display:grid;place-items:center;color:var(--soft)}
.badge{position:absolute;left:.6rem;bottom:.6rem;background:rgb(15 17 19/.78);color:#fff;
border-radius:999px;padding:.1rem .65rem;font-size:.82rem;font-variant-numeric:tabular-nums}
.words{padding:.8rem 1rem 1rem}
.caption{margin:0 0 .6rem;font-size:1.06rem;font-weight:600;line-height:1.35}
.odd{color:var(--odd);text-decoration:underline dotted;text-underline-offset:.2em}
.words ul{margin:0;padding:0;list-style:none;color:var(--soft);font-size:.92rem;line-height:1.4}
.words li{padding:.2rem 0 .2rem .8rem;border-left:2px solid var(--line)}
.id{margin:.7rem 0 0;color:var(--soft);font-size:.8rem}
footer{border-top:1px solid var(--line);color:var(--soft);font-size:.88rem;padding:1rem 0 3rem}
footer p{margin:.3rem 0}
code{font:.92em ui-monospace,"SF Mono","Roboto Mono","DejaVu Sans Mono",monospace}
@media (max-width:34rem){td.note,th.note{display:none}main,.head,nav ul{padding-left:1rem;
padding-right:1rem}section{margin:2rem 0 2.5rem}}
@media print{nav{display:none}.card{break-inside:avoid}}
"""
