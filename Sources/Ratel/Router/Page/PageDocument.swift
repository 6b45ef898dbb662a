/// The page's document. It holds no value: everything is put in by the script, as text.
enum PageDocument {
    static let text = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Ratel router</title>
        <link rel="stylesheet" href="ui/page.css">
        <script src="ui/page.js" defer></script>
        </head>
        <body>
        <header>
        <h1>Ratel <span>router</span></h1>
        <p id="ready" class="pill">asking…</p>
        <p id="clock"></p>
        </header>
        <p id="away" role="alert" hidden></p>
        <noscript><p class="notice">This page shows what the router says each second, and needs its
        script for that. <code>ratel top</code> shows the same in a terminal.</p></noscript>
        <main>
        <dl id="totals" aria-label="Since the router started"></dl>
        <section aria-labelledby="providers-title">
        <h2 id="providers-title">Providers <small id="providers-count"></small></h2>
        <table id="providers">
        <thead><tr>
        <th scope="col">Provider</th><th scope="col">Evidence</th><th scope="col">Model</th>
        <th scope="col" class="number">Price <small>$ per 1M tokens, in · out</small></th>
        <th scope="col" class="number">Speed <small>first token · each next</small></th>
        <th scope="col">Load <small>streams · tokens a minute</small></th>
        <th scope="col" class="number">Success</th>
        </tr></thead>
        <tbody></tbody>
        </table>
        <p class="nothing" id="providers-none" hidden>No provider is known yet.</p>
        </section>
        <section aria-labelledby="receipts-title">
        <h2 id="receipts-title">Receipts</h2>
        <form id="search" role="search">
        <label for="id">How its id begins</label>
        <input id="id" name="id" autocomplete="off" autocapitalize="none" spellcheck="false"
        maxlength="64" pattern="[A-Za-z0-9\-]+" placeholder="gen-…" required>
        <button type="submit">Find</button>
        </form>
        <p id="found" role="status"></p>
        <div id="receipts"></div>
        </section>
        <section aria-labelledby="decisions-title">
        <h2 id="decisions-title">Decisions <small>the newest first</small></h2>
        <table id="decisions">
        <thead><tr>
        <th scope="col">When</th><th scope="col">Receipt</th><th scope="col">Model</th>
        <th scope="col">Provider</th><th scope="col">End</th>
        <th scope="col" class="number">Attempts</th>
        <th scope="col" class="number">Tokens <small>in · out</small></th>
        <th scope="col" class="number">First token</th><th scope="col" class="number">Cost</th>
        </tr></thead>
        <tbody></tbody>
        </table>
        <p class="nothing" id="decisions-none" hidden>No request has ended yet.</p>
        </section>
        </main>
        <footer><p>Of prompts and answers nothing is here, and of callers only what receipts hold: a
        code for each account. <span id="version"></span></p></footer>
        </body>
        </html>

        """#
}
