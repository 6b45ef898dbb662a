/// How the page looks: the reader's own fonts, light or dark as they have it, tables that become
/// cards on a phone.
enum PageStyle {
    static let text = #"""
        :root {
          color-scheme: light dark;
          --ground: #f5f6f4; --sheet: #fff; --ink: #1c2321; --quiet: #5c6763; --line: #dfe4e1;
          --accent: #0b6b58; --good: #0b6b58; --good-ground: #dff2ec;
          --warn: #7a5200; --warn-ground: #fbefd2; --bad: #a3202b; --bad-ground: #fce4e4;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --ground: #121615; --sheet: #1a201e; --ink: #e6ebe8; --quiet: #9aa6a1;
            --line: #2c3532; --accent: #5fd0b3; --good: #74d8be; --good-ground: #173b33;
            --warn: #f0c36d; --warn-ground: #3c3018; --bad: #ff9c9c; --bad-ground: #471f22;
          }
        }
        * { box-sizing: border-box; }
        [hidden] { display: none !important; }
        body {
          margin: 0 auto; padding: 0 1.5rem 3rem; max-width: 88rem;
          background: var(--ground); color: var(--ink);
          font: 0.9375rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
            sans-serif;
          font-variant-numeric: tabular-nums;
        }
        header { display: flex; flex-wrap: wrap; align-items: center; gap: 0.4rem 1rem;
          padding: 1.25rem 0 1rem; }
        h1 { margin: 0; font-size: 1.35rem; letter-spacing: -0.01em; }
        h1 span { font-weight: 400; color: var(--quiet); }
        #clock { margin: 0 0 0 auto; color: var(--quiet); }
        h2 { margin: 0; padding: 0.9rem 1rem 0.7rem; font-size: 1.0625rem; }
        small { font-size: 0.8125rem; font-weight: 400; color: var(--quiet); }
        th small { display: block; white-space: nowrap; }
        section { margin-top: 1.25rem; background: var(--sheet); border: 1px solid var(--line);
          border-radius: 0.6rem; overflow: auto hidden; }
        #away { margin: 0 0 1rem; padding: 0.75rem 1rem; border-radius: 0.6rem; font-weight: 600;
          background: var(--bad-ground); color: var(--bad); border: 1px solid var(--bad); }
        .notice { padding: 0.75rem 1rem; background: var(--warn-ground); color: var(--warn);
          border-radius: 0.6rem; }
        body.away main { opacity: 0.55; }
        #totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
          gap: 1px; margin: 0; background: var(--line); border: 1px solid var(--line);
          border-radius: 0.6rem; overflow: hidden; }
        #totals div { padding: 0.6rem 1rem 0.7rem; background: var(--sheet); }
        #totals dt { color: var(--quiet); font-size: 0.8125rem; }
        #totals dd { margin: 0; font-size: 1.25rem; }
        table { width: 100%; border-collapse: collapse; }
        th, td { padding: 0.55rem 0.6rem; text-align: left; vertical-align: top;
          border-top: 1px solid var(--line); }
        th:first-child, td:first-child { padding-left: 1rem; }
        th:last-child, td:last-child { padding-right: 1rem; }
        thead th { padding-top: 0.35rem; padding-bottom: 0.5rem; vertical-align: bottom;
          font-size: 0.8125rem; font-weight: 600; white-space: nowrap; }
        .number { text-align: right; }
        td.number { white-space: nowrap; }
        td .under { display: block; font-size: 0.8125rem; color: var(--quiet);
          overflow-wrap: anywhere; }
        .name { font-weight: 600; overflow-wrap: anywhere; }
        td.model { overflow-wrap: anywhere; }
        td.first { min-width: 9.5rem; }
        td.model { min-width: 10rem; }
        td.when, button.id { white-space: nowrap; }
        .pill { display: inline-block; margin: 0; padding: 0.1rem 0.55rem; border-radius: 1rem;
          font-size: 0.8125rem; font-weight: 600; white-space: nowrap;
          background: var(--line); color: var(--ink); }
        .pill.good { background: var(--good-ground); color: var(--good); }
        .pill.warn { background: var(--warn-ground); color: var(--warn); }
        .pill.bad { background: var(--bad-ground); color: var(--bad); }
        .pill.plain { padding: 0; background: none; font-weight: 400; font-size: inherit; }
        .why { margin: 0.3rem 0 0; max-width: 30rem; font-size: 0.8125rem;
          overflow-wrap: anywhere; }
        .why code { display: block; font-weight: 600; color: var(--bad); }
        td .why, td .under { min-width: 12rem; }
        td.first .under, td.model .under, td.number .under, .bar + .under { min-width: 0; }
        .bar { display: block; height: 0.4rem; margin: 0.3rem 0 0.2rem; min-width: 6rem;
          border-radius: 0.2rem; background: var(--line); overflow: hidden; }
        .bar i { display: block; height: 100%; width: 0; background: var(--accent); }
        .bar.full i { background: var(--bad); }
        code, pre, input, button.id { font-family: ui-monospace, "SF Mono", Menlo, Consolas,
          "DejaVu Sans Mono", monospace; font-size: 0.8125rem; }
        button.id { padding: 0; border: 0; background: none; color: var(--accent);
          cursor: pointer; text-align: left; text-decoration: underline;
          text-decoration-color: transparent; }
        button.id:hover { text-decoration-color: currentColor; }
        :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
        .nothing { margin: 0; padding: 0.9rem 1rem 1.1rem; color: var(--quiet);
          border-top: 1px solid var(--line); }
        form { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.75rem;
          padding: 0 1rem 0.9rem; }
        label { color: var(--quiet); }
        input { flex: 1 1 12rem; max-width: 26rem; padding: 0.5rem 0.7rem; color: inherit;
          background: var(--ground); border: 1px solid var(--line); border-radius: 0.4rem; }
        form button { padding: 0.45rem 1.1rem; font: inherit; font-weight: 600; cursor: pointer;
          color: var(--sheet); background: var(--accent); border: 0; border-radius: 0.4rem; }
        #found { margin: 0; padding: 0 1rem; color: var(--quiet); }
        #found:not(:empty) { padding-bottom: 0.9rem; }
        #receipts details { border-top: 1px solid var(--line); }
        #receipts summary { padding: 0.6rem 1rem; cursor: pointer; overflow-wrap: anywhere; }
        #receipts summary span { display: inline-block; margin-left: 0.75rem; }
        #receipts summary .quiet { color: var(--quiet); }
        pre { margin: 0; padding: 0.75rem 1rem 1rem; max-height: 32rem; overflow: auto;
          white-space: pre-wrap; overflow-wrap: anywhere; background: var(--ground);
          border-top: 1px solid var(--line); }
        footer { margin-top: 1.25rem; font-size: 0.8125rem; color: var(--quiet); }

        @media (max-width: 80rem) {
          body { padding: 0 0.75rem 2rem; }
          thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
            clip-path: inset(50%); }
          table, tbody, tr, td { display: block; }
          tr { padding: 0.7rem 1rem 0.8rem; border-top: 1px solid var(--line); }
          td, td.number, td:first-child, td:last-child {
            display: grid; grid-template-columns: 6.5rem 1fr; gap: 0 0.75rem;
            padding: 0.16rem 0; border: 0; text-align: left; white-space: normal; }
          td::before { content: attr(data-name); color: var(--quiet); font-size: 0.8125rem;
            padding-top: 0.08rem; }
          td.first, td.model, td .why, td .under { min-width: 0; }
          tr.bare td:nth-child(n + 3) { display: none; }
          button.id { white-space: normal; overflow-wrap: anywhere; }
          label { flex-basis: 100%; }
          #decisions tbody tr:nth-child(n + 21) { display: none; }
          td.first:first-child { display: block; padding-bottom: 0.3rem; font-size: 1rem; }
          td.first::before { content: none; }
          #clock { margin-left: 0; width: 100%; }
          #totals { grid-template-columns: repeat(2, 1fr); }
          #totals div:last-child:nth-child(odd) { grid-column: span 2; }
        }
        @media (min-width: 40rem) and (max-width: 80rem) {
          tbody { display: grid; grid-template-columns: 1fr 1fr; }
          #totals { grid-template-columns: repeat(4, 1fr); }
        }

        """#
}
