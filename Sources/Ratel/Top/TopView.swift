internal import Keys

/// One table of `ratel top`, from the state that a router's page reads too.
struct TopView {
    private let state: JSONValue?
    private let trouble: String?
    private let address: String
    private let screen: Screen

    init(_ state: JSONValue?, _ trouble: String?, of address: String, on screen: Screen) {
        self.state = state
        self.trouble = trouble
        self.address = address
        self.screen = screen
    }

    /// At most as many as the screen has, less the one that the cursor stands in.
    var lines: [String] {
        var lines = [head]
        if let trouble { lines.append(cut(trouble, .red)) }
        guard let state else { return lines }
        lines += [totals(state["totals"]), ""]
        let height = screen.lines.map { max(4, $0 - 1) } ?? .max
        let left = height == .max ? Int.max : max(0, height - lines.count)
        // Of what is left the decisions have at least a third: that many of them are read anyway.
        let share = left == .max ? Int.max : left * 2 / 3
        lines += providers.lines(on: screen, atMost: share)
        let rest = height == .max ? Int.max : height - lines.count - 1
        if rest >= 2 { lines += [""] + decisions.lines(on: screen, atMost: rest) }
        return lines
    }

    private var head: String {
        guard trouble == nil else {
            let since = state?["time_ms"]?.integer.map { "; what is below was so at \(time($0))" }
            return cut("ratel router \(address): it does not answer\(since ?? "")", .red)
        }
        let waiting = (state?["readiness"]?.items ?? []).compactMap { one in
            one["trouble"]?.text.map { "\(one["name"]?.text ?? ""): \($0)" }
        }
        let standing = waiting.isEmpty ? "ready" : waiting.joined(separator: ", ")
        let moment = state?["time_ms"]?.integer.map { time($0) } ?? ""
        return cut(
            "ratel router \(address)  \(standing)  \(moment)", waiting.isEmpty ? .bold : .yellow)
    }

    private func totals(_ totals: JSONValue?) -> String {
        func number(_ name: String) -> Int { totals?[name]?.integer ?? 0 }
        return cut(
            "served \(number("complete"))  given up \(number("cancelled"))  "
                + "failed \(number("error"))  failovers \(number("failovers"))  "
                + "tokens \(number("tokens_in")) in, \(number("tokens_out")) out  "
                + "billed $\(Dollars.text(Int64(number("billed_nusd"))))", nil)
    }

    private func cut(_ text: String, _ colour: Screen.Colour?) -> String {
        let cell = Columns.Cell(text, nil, limit: screen.columns ?? 512)
        return screen.paint(String(cell.text.prefix(screen.columns ?? .max)), colour)
    }

    // MARK: Providers

    private var providers: Columns {
        var columns = Columns(
            [
                "PROVIDER", "EVIDENCE", "MODEL", "$IN/1M", "$OUT/1M", "FIRST", "NEXT", "STREAMS",
                "TOKENS/MIN", "SUCCESS", "STATE",
            ],
            numbers: ["$IN/1M", "$OUT/1M", "FIRST", "NEXT", "STREAMS", "TOKENS/MIN", "SUCCESS"])
        for provider in state?["providers"]?.items ?? [] {
            let start = [Columns.Cell(provider["name"]?.text ?? ""), evidence(provider)]
            if let refused = provider["refused"] { columns.add(start + [why(refused)]) }
            for offer in provider["offers"]?.items ?? [] { columns.add(start + cells(offer)) }
            if provider["refused"] == nil, provider["offers"]?.items?.isEmpty ?? true {
                columns.add(start + [Columns.Cell("")])
            }
        }
        return columns
    }

    private func evidence(_ provider: JSONValue) -> Columns.Cell {
        let standing = provider["standing"]?.text ?? ""
        guard standing == "admitted", let now = state?["time_ms"]?.integer,
            let appraised = provider["appraised_ms"]?.integer
        else { return Columns.Cell(standing, standing == "refused" ? .red : .yellow) }
        return Columns.Cell("admitted \(age(now - appraised))", .green)
    }

    private func why(_ refused: JSONValue) -> Columns.Cell {
        func part(_ name: String) -> String { refused[name]?.text ?? "" }
        return Columns.Cell(
            "\(part("code")): \(part("field")): expected \(part("expected")), got \(part("got"))",
            .red, limit: 256)
    }

    private func cells(_ offer: JSONValue) -> [Columns.Cell] {
        func number(_ name: String) -> Int { offer[name]?.integer ?? 0 }
        let isFull = number("streams") >= number("max_streams")
        let standing = offer["state"]?.text ?? ""
        let isKnown = number("facts") > 0
        return [
            Columns.Cell(offer["model"]?.text ?? ""),
            Columns.Cell(Dollars.text(Int64(number("price_in_nusd")))),
            Columns.Cell(Dollars.text(Int64(number("price_out_nusd")))),
            Columns.Cell(milliseconds(offer["first_token_us"])),
            Columns.Cell(milliseconds(offer["token_gap_us"])),
            Columns.Cell("\(number("streams"))/\(number("max_streams"))", isFull ? .red : nil),
            Columns.Cell("\(number("tokens_minute"))"),
            Columns.Cell(isKnown ? tenths(number("success_ppm") / 1_000) + "%" : "-"),
            Columns.Cell(standing, standing == "open" ? nil : .yellow),
        ]
    }

    // MARK: Decisions

    private var decisions: Columns {
        var columns = Columns(
            [
                "WHEN", "RECEIPT", "MODEL", "PROVIDER", "END", "ATTEMPTS", "IN", "OUT", "FIRST",
                "COST",
            ], numbers: ["ATTEMPTS", "IN", "OUT", "FIRST", "COST"])
        for one in state?["decisions"]?.items ?? [] {
            let end = one["end"]?.text ?? ""
            columns.add([
                Columns.Cell(time(one["time_ms"]?.integer ?? 0)),
                Columns.Cell(one["id"]?.text ?? ""),
                Columns.Cell(one["model"]?.text ?? ""),
                Columns.Cell(one["provider"]?.text ?? "nobody"),
                Columns.Cell(end, end == "error" ? .red : end == "cancelled" ? .yellow : nil),
                Columns.Cell("\(one["attempts"]?.integer ?? 0)"),
                Columns.Cell("\(one["tokens_in"]?.integer ?? 0)"),
                Columns.Cell("\(one["tokens_out"]?.integer ?? 0)"),
                Columns.Cell(milliseconds(one["first_token_us"])),
                Columns.Cell("$" + Dollars.text(Int64(one["cost_nusd"]?.integer ?? 0))),
            ])
        }
        return columns
    }

    // MARK: Numbers

    private func milliseconds(_ micros: JSONValue?) -> String {
        guard let micros = micros?.integer else { return "-" }
        return micros < 10_000 ? tenths(micros / 100) + "ms" : "\(micros / 1_000)ms"
    }

    private func tenths(_ value: Int) -> String { "\(value / 10).\(value % 10)" }

    private func age(_ milliseconds: Int) -> String {
        let seconds = max(0, milliseconds / 1_000)
        return seconds < 120 ? "\(seconds)s" : "\(seconds / 60)min"
    }

    /// Of the day, in UTC: a terminal is not always where the router is.
    private func time(_ milliseconds: Int) -> String {
        let second = milliseconds / 1_000 % 86_400
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60))Z"
    }
}
