/// What the page's tables are made of.
extension PageScript {
    static let parts = #"""

        function showProvider(row, provider, offer, now) {
          row.className = offer ? "" : "bare";
          const name = cell(row, 0, "td", null, "Provider", "first");
          part(name, 0, "span", provider.name, "name");
          part(name, 1, "span", provider.address, "under");

          const evidence = box(cell(row, 1, "td", null, "Evidence"));
          const kind = { admitted: "good", refused: "bad" }[provider.standing] || "";
          pill(part(evidence, 0, "span", null), kind, provider.standing);
          part(evidence, 1, "span", provider.standing === "admitted"
            ? `${ago(now - provider.appraised_ms)} old, holds for `
              + `${ago(provider.until_ms - now)}`
            : provider.asked_ms ? `asked ${ago(now - provider.asked_ms)} ago` : "", "under");
          const why = part(evidence, 2, "p", null, "why");
          const refused = provider.refused;
          why.hidden = !refused;
          part(why, 0, "code", refused ? refused.code : "");
          part(why, 1, "span", refused
            ? ` ${refused.field}: expected ${refused.expected || "another"}, got `
              + `${refused.got || "nothing"}. ${refused.remedy}` : "");

          const model = box(cell(row, 2, "td", null, "Model", "model"));
          part(model, 0, "span", offer ? offer.model : "–");
          const state = part(model, 1, "span", offer
            ? [offer.quantization === "none" ? "" : offer.quantization, offer.region]
              .filter((one) => one).join(", ") : "", "under");
          state.hidden = state.textContent === "";
          const open = part(model, 2, "span", null);
          const isTold = offer && !["open", "not admitted"].includes(offer.state);
          pill(open, "warn", isTold ? offer.state : "");
          open.hidden = !isTold;

          cell(row, 3, "td", offer
            ? `${price(offer.price_in_nusd)} · ${price(offer.price_out_nusd)}` : "–", "Price",
            "number");
          cell(row, 4, "td", offer
            ? `${millis(offer.first_token_us)} · ${millis(offer.token_gap_us)}` : "–", "Speed",
            "number");

          const load = box(cell(row, 5, "td", null, "Load"));
          part(load, 0, "span", offer
            ? `${count(offer.streams)} of ${count(offer.max_streams)}` : "–");
          const share = offer ? offer.streams / Math.max(1, offer.max_streams) : 0;
          const bar = part(load, 1, "span", null, share >= 1 ? "bar full" : "bar");
          bar.hidden = !offer;
          part(bar, 0, "i", "").style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
          part(load, 2, "span", offer ? `${count(offer.tokens_minute)} tokens` : "", "under");

          const success = box(cell(row, 6, "td", null, "Success", "number"));
          const isKnown = offer && offer.facts > 0;
          part(success, 0, "span", isKnown ? `${(offer.success_ppm / 10000).toFixed(1)} %` : "–");
          part(success, 1, "span", isKnown
            ? `of ${count(offer.facts)} request${offer.facts === 1 ? "" : "s"}` : "", "under");
        }

        function showDecision(row, one) {
          const ends = { complete: "plain", cancelled: "warn", error: "bad" };
          cell(row, 0, "td", time(one.time_ms), "When", "when");
          const receipt = box(cell(row, 1, "td", null, "Receipt"));
          const button = part(receipt, 0, "button", one.id, "id");
          if (button.type !== "button") {
            button.type = "button";
            button.title = "Show the receipt";
            button.addEventListener("click", () => {
              byId("id").value = button.textContent;
              search(button.textContent);
              byId("receipts-title").scrollIntoView({ behavior: "smooth" });
            });
          }
          cell(row, 2, "td", one.model || "–", "Model", "model");
          cell(row, 3, "td", one.provider || "nobody", "Provider");
          pill(part(box(cell(row, 4, "td", null, "End")), 0, "span", null), ends[one.end] || "",
            one.end);
          cell(row, 5, "td", count(one.attempts), "Attempts", "number");
          cell(row, 6, "td", `${count(one.tokens_in)} · ${count(one.tokens_out)}`, "Tokens",
            "number");
          cell(row, 7, "td", millis(one.first_token_us), "First token", "number");
          cell(row, 8, "td", dollars(one.cost_nusd), "Cost", "number");
        }

        function showReceipt(statement, isOpen) {
          const body = statement.body;
          const details = document.createElement("details");
          details.open = isOpen;
          const summary = part(details, 0, "summary", null);
          part(summary, 0, "code", body.receipt_id);
          part(summary, 1, "span", body.end);
          part(summary, 2, "span", dollars(body.cost_nusd));
          part(summary, 3, "span", new Date(body.time_ms).toLocaleString(), "quiet");
          part(details, 1, "pre", JSON.stringify(statement, null, 2));
          return details;
        }

        // Elements are kept from one second to the next, so that a selection stays.

        function rows(place, all, key, tag, fill) {
          const known = place.known || (place.known = new Map());
          const now = new Map();
          let next = place.firstElementChild;
          for (const one of all) {
            const name = key(one);
            const row = known.get(name) || document.createElement(tag);
            if (row === next) next = next.nextElementSibling;
            else place.insertBefore(row, next);
            fill(row, one);
            now.set(name, row);
          }
          for (const [name, row] of known) if (now.get(name) !== row) row.remove();
          place.known = now;
        }

        function cell(row, index, tag, text, name, kind) {
          const made = part(row, index, tag, text, kind);
          if (name && made.dataset.name !== name) made.dataset.name = name;
          return made;
        }

        // What is in a cell stays together where the cell is a line of a card.
        function box(cell) { return part(cell, 0, "div", null); }

        function part(place, index, tag, text, kind) {
          let made = place.children[index];
          if (!made) {
            made = document.createElement(tag);
            place.append(made);
          }
          if (kind !== undefined && made.className !== kind) made.className = kind;
          if (text !== null) set(made, text);
          return made;
        }

        function set(element, text) {
          const value = String(text);
          if (element.textContent !== value) element.textContent = value;
        }

        function pill(element, kind, text) {
          element.className = `pill ${kind}`.trim();
          set(element, text);
        }

        // Numbers as people read them.

        function count(number) { return number.toLocaleString("en"); }

        function price(nano) {
          return (nano / 1e9).toLocaleString("en", { minimumFractionDigits: 2,
            maximumFractionDigits: 9 });
        }

        function dollars(nano) {
          return "$" + (nano / 1e9).toLocaleString("en", {
            minimumFractionDigits: 2, maximumFractionDigits: nano < 1e9 ? 9 : 2 });
        }

        function millis(micros) {
          if (micros === null) return "–";
          if (micros < 10000) return `${(micros / 1000).toFixed(1)} ms`;
          if (micros < 10000000) return `${count(Math.round(micros / 1000))} ms`;
          return `${(micros / 1e6).toFixed(1)} s`;
        }

        function ago(milliseconds) {
          const seconds = Math.max(0, Math.round(milliseconds / 1000));
          if (seconds < 120) return `${seconds} s`;
          if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
          return `${Math.round(seconds / 3600)} h`;
        }

        function time(milliseconds) {
          return new Date(milliseconds).toLocaleTimeString(undefined, { hourCycle: "h23" });
        }

        refresh();

        """#
}
