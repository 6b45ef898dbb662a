internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// `ratel collateral`: what vendors say about platforms, fetched, bundled and shown.
public enum CollateralInspector {
    /// What a person asks for.
    public struct Request: Sendable {
        /// Files or folders of Evidence, or HOST:PORT of machines that attest.
        public var subjects: [String]
        /// Where a bundle is written.
        public var out: String?
        /// The time to check at, as `--at` of `ratel verify`.
        public var time: String?
        /// PEM or DER of roots beside the vendors'.
        public var roots: [String]
        /// JSON in place of a table.
        public var json: Bool

        /// Collects what was asked.
        public init(
            subjects: [String], out: String? = nil, time: String? = nil, roots: [String] = [],
            json: Bool = false
        ) {
            self.subjects = subjects
            self.out = out
            self.time = time
            self.roots = roots
            self.json = json
        }
    }

    /// Asks the services for everything that the subjects need, whatever is there already.
    public static func fetch(
        _ source: ConfigurationSource, _ request: Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        do throws(UnusableInput) {
            let desk = try CollateralDesk(source, request)
            return desk.show(desk.obtain(try desk.needs(source), again: true))
        } catch {
            return error.finding
        }
    }

    /// Writes what the subjects need into a folder for use without a network.
    public static func bundle(
        _ source: ConfigurationSource, _ request: Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        guard let out = request.out else { throw ConfigurationError("--out FOLDER is needed") }
        do throws(UnusableInput) {
            let desk = try CollateralDesk(source, request)
            let needs = desk.obtain(try desk.needs(source))
            for entry in desk.store.listing where needs.contains(entry.item.need) {
                try CollateralFiles.write(entry.item, under: out)
            }
            return desk.show(needs)
        } catch {
            return error.finding
        }
    }

    /// Lists what the cache, or a folder, holds.
    public static func show(
        _ source: ConfigurationSource, _ request: Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        do throws(UnusableInput) {
            let desk = try CollateralDesk(source, request)
            let needs =
                request.subjects.isEmpty ? desk.store.known : try desk.needs(source)
            _ = desk.store.stock(needs, stapled: [])
            return desk.show(needs)
        } catch {
            return error.finding
        }
    }
}
