import Glibc

/// The mutant that this process is, of the copied package; no part of the product.
public enum Mutant {
    /// `RATEL_MUTANT`, or 0: none.
    private static let chosen = number("RATEL_MUTANT")

    /// A byte for each mutant, in the file that `RATEL_MUTANTS_REACHED` names.
    nonisolated(unsafe) private static let reached: UnsafeMutablePointer<UInt8>? = {
        guard let path = getenv("RATEL_MUTANTS_REACHED") else { return nil }
        let file = open(path, O_RDWR)
        let size = number("RATEL_MUTANTS_COUNT") + 1
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        guard memory != MAP_FAILED else { fatalError("no map of \(String(cString: path))") }
        return memory?.assumingMemoryBound(to: UInt8.self)
    }()

    /// Whether the check with this number is switched off.
    public static func isOn(_ number: Int) -> Bool {
        if let reached { reached[number] = 1 }
        return number == chosen
    }

    private static func number(_ name: String) -> Int {
        guard let text = getenv(name), let value = Int(String(cString: text)) else { return 0 }
        return value
    }
}
