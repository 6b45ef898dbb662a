internal import Appraisal
internal import Keys
internal import RATS

/// Policies for Arm CCA realms in words, and written from what a machine shows.
enum CCALines {
    static func explain(_ cca: CCAPolicy) -> [String] {
        func show(_ value: ReferenceValue) -> String {
            switch value {
            case .any: "any"
            case .oneOf(let values):
                values.isEmpty ? "nothing" : values.map(Hex.encode).joined(separator: " or ")
            }
        }
        var lines = ["  its CCA token is signed by one of \(cca.platformKeys.count) platform keys:"]
        lines += cca.platformKeys.map { "    SHA-256 \(Hex.encode($0))" }
        lines.append("  implementation: \(show(cca.implementationID))")
        lines.append("  instance: \(show(cca.instanceID))")
        lines.append("  initial measurement: \(show(cca.initial))")
        for (index, value) in cca.extensible.enumerated() {
            lines.append("  extensible measurement \(index): \(show(value))")
        }
        lines.append("  personalisation value: \(show(cca.personalization))")
        switch cca.software {
        case .any: lines.append("  firmware: any")
        case .oneOf(let components):
            lines.append("  firmware is one of \(components.count) components:")
            lines += components.map {
                "    \(Hex.encode($0.measurement)) signed by \(Hex.encode($0.signer))"
            }
        }
        lines.append("  platforms that are not secured are refused")
        return lines
    }

    /// The section for a realm.
    static func section(_ claims: Claims) -> [String] {
        func list(_ name: String, _ claim: String) -> String {
            "      \(name): [\"\(claims[claim]?.shown ?? "")\"]"
        }
        var lines = ["    cca:", list("cpak", "cpak")]
        lines.append(list("implementation_id", "platform.implementation_id"))
        lines.append(list("instance_id", "platform.instance_id"))
        lines.append(list("rim", "realm.initial_measurement"))
        lines.append("      rem:")
        if case .list(let values) = claims["realm.extensible_measurements"] {
            for (index, value) in values.enumerated() {
                lines.append("        \(index): [\"\(value.shown)\"]")
            }
        }
        lines.append(list("rpv", "realm.personalization"))
        lines.append("      software:")
        guard case .list(let components) = claims["platform.sw_components"] else { return lines }
        for case .group(let component) in components {
            let signer = component["signer_id"]?.shown ?? ""
            let measurement = component["measurement"]?.shown ?? ""
            lines.append(
                "        - {signer_id: \"\(signer)\", measurement: \"\(measurement)\"}")
        }
        return lines
    }
}
