/// What the page does: it asks for the state each second, and shows it.
///
/// Names and models are strangers' text, so everything is set as text, and no value ever becomes
/// markup, a style or an address.
enum PageScript {
    static let text = #"""
        "use strict";

        const byId = (id) => document.getElementById(id);
        let last = null;

        async function ask(path) {
          const gone = new AbortController();
          const timer = setTimeout(() => gone.abort(), 5000);
          try {
            const answer = await fetch(path, { cache: "no-store", signal: gone.signal });
            const value = await answer.json();
            if (!answer.ok) throw new Error(value.error ? value.error.message : answer.statusText);
            return value;
          } finally {
            clearTimeout(timer);
          }
        }

        async function refresh() {
          try {
            const state = await ask("ui/state");
            show(state);
            last = state;
            away("");
          } catch (error) {
            away(last
              ? `The router does not answer. What is below was so at ${time(last.time_ms)}.`
              : "The router does not answer.");
          }
          setTimeout(refresh, 1000);
        }

        function away(text) {
          set(byId("away"), text);
          byId("away").hidden = text === "";
          document.body.classList.toggle("away", text !== "");
          if (text !== "") pill(byId("ready"), "bad", "no answer");
        }

        function show(state) {
          const trouble = state.readiness.filter((one) => one.trouble !== null)
            .map((one) => `${one.name}: ${one.trouble}`);
          pill(byId("ready"), trouble.length ? "warn" : "good", trouble.join(", ") || "ready");
          set(byId("clock"), time(state.time_ms));
          set(byId("version"), `Ratel ${state.version}.`);
          showTotals(state.totals);
          showProviders(state);
          showDecisions(state.decisions);
        }

        function showTotals(totals) {
          const all = [
            ["Served", count(totals.complete)], ["Given up by callers", count(totals.cancelled)],
            ["Failed", count(totals.error)], ["Failovers", count(totals.failovers)],
            ["Tokens in", count(totals.tokens_in)], ["Tokens out", count(totals.tokens_out)],
            ["Billed", dollars(totals.billed_nusd)],
          ];
          rows(byId("totals"), all, (one) => one[0], "div", (row, [name, value]) => {
            cell(row, 0, "dt", name);
            cell(row, 1, "dd", value);
          });
        }

        function showProviders(state) {
          const all = state.providers.flatMap((provider) => provider.offers.length
            ? provider.offers.map((offer) => ({ provider, offer }))
            : [{ provider, offer: null }]);
          const admitted = state.providers.filter((one) => one.standing === "admitted").length;
          set(byId("providers-count"), `${admitted} of ${state.providers.length} admitted`);
          byId("providers-none").hidden = all.length > 0;
          byId("providers").hidden = all.length === 0;
          const key = (one) => JSON.stringify([one.provider.name, one.offer && one.offer.model]);
          rows(byId("providers").tBodies[0], all, key, "tr", (row, one) => {
            showProvider(row, one.provider, one.offer, state.time_ms);
          });
        }

        function showDecisions(all) {
          byId("decisions-none").hidden = all.length > 0;
          byId("decisions").hidden = all.length === 0;
          rows(byId("decisions").tBodies[0], all, (one) => one.id, "tr", (row, one) => {
            showDecision(row, one);
          });
        }

        byId("search").addEventListener("submit", (event) => {
          event.preventDefault();
          search(byId("id").value.trim());
        });

        async function search(id) {
          const place = byId("receipts");
          set(byId("found"), "Asking the ledger…");
          try {
            const found = await ask("ui/receipts?id=" + encodeURIComponent(id));
            const all = found.receipts;
            place.replaceChildren(...all.map((one) => showReceipt(one, all.length === 1)));
            set(byId("found"), all.length === 0
              ? "No receipt begins so. One is there a moment after its answer has ended."
              : found.are_all ? `${all.length} found.`
                : `The first ${all.length}; there are more: give more of the id.`);
          } catch (error) {
            place.replaceChildren();
            set(byId("found"), `Not found: ${error.message}`);
          }
        }

        """#
}
