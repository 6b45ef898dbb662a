/// An interface of the kernel that some kind of Evidence comes from.
struct Interface {
    let name: String
    let path: String
    /// What it would give, and since when or where it is found.
    let hint: String

    static let all = [
        Interface(
            name: "NVIDIA GPU",
            path: "/dev/nvidiactl",
            hint: "a GPU with NVIDIA's driver"
        )
    ]

    func examine(root: String) -> Finding {
        let place = root + path
        guard HostFile.exists(place) else {
            return Finding(
                interface: name,
                place: path,
                state: .absent,
                detail: "not there (\(hint))"
            )
        }
        return Finding(
            interface: name,
            place: path,
            state: .unsupported,
            detail: "found (\(hint)), but this version does not attest with it"
        )
    }
}
