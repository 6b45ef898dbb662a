internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// `ratel tcb-status`: where an Intel platform stands, and what it lacks.
public enum TCBInspector {
    /// Looks at a quote in a file or folder, or at a machine's; 0 up to date, 1 not, 2 unusable.
    public static func show(
        _ source: ConfigurationSource, _ request: CollateralInspector.Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        do throws(UnusableInput) {
            guard request.subjects.count == 1 else {
                throw UnusableInput("name one file or folder of Evidence, or one HOST:PORT")
            }
            let desk = try CollateralDesk(source, request)
            let subject = request.subjects[0]
            let (quote, beside) = try desk.quote(subject)
            let needs = CollateralNeed.of(quote: quote)
            var stock = desk.store.stock(needs, stapled: beside)
            if !stock.missing.isEmpty {
                desk.obtain(stock.missing)
                stock = desk.store.stock(needs, stapled: beside)
            }
            do throws(Refusal) {
                let tcb = try PlatformTCB(
                    quote: quote, endorsements: stock.endorsements, roots: desk.store.roots,
                    now: desk.now)
                return show(tcb, request.json)
            } catch {
                return Inspector.finding(
                    EvidenceReport.table(error), EvidenceReport.json(error), request.json, status: 1
                )
            }
        } catch {
            return error.finding
        }
    }

    private static func show(_ tcb: PlatformTCB, _ json: Bool) -> Inspector.Finding {
        var table = Table()
        table.heading("TCB status: \(tcb.status.rawValue)")
        for row in tcb.claims.rows where !row.text.isEmpty { table.row(row.name, row.text) }
        if let date = tcb.date { table.row("tcb date", date) }
        for short in tcb.shortfalls {
            table.row(
                "SHORT",
                "\(short.component): has \(short.got), needs \(short.needed); "
                    + short.remedy)
        }
        for text in tcb.advice { table.row("TO DO", text) }
        let document = JSONValue.members([
            ("status", .string(tcb.status.rawValue)),
            ("advisory_ids", .array(tcb.advisories.map { .string($0) })),
            ("tcb", tcb.claims.json), ("tcb_date", tcb.date.map { .string($0) } ?? .null),
            (
                "short",
                .array(
                    tcb.shortfalls.map {
                        .members([
                            ("component", .string($0.component)), ("got", .integer($0.got)),
                            ("needed", .integer($0.needed)), ("remedy", .string($0.remedy)),
                        ])
                    })
            ),
            ("advice", .array(tcb.advice.map { .string($0) })),
        ])
        return Inspector.finding(
            table.text, document, json, status: tcb.status == .upToDate ? 0 : 1)
    }
}
