import Glibc
import MarketSimulation

/// The economics of the market in simulation: `MarketRun [SEED [REQUESTS [PROVIDERS]]] [warm]`.
/// Prints each figure beside what it is held to; status 1 where one does not hold. `warm` begins
/// with providers that are known, as a short run has to: what is not known yet is dear.
var arguments = Array(CommandLine.arguments.dropFirst())
let isWarm = arguments.last == "warm"
if isWarm { arguments.removeLast() }
let numbers = arguments.compactMap { UInt64($0) }
guard numbers.count == arguments.count, numbers.count <= 3 else {
    print("MarketRun [SEED [REQUESTS [PROVIDERS]]] [warm]")
    exit(2)
}
let plan = Simulation.Plan(
    seed: numbers.first ?? 1, providers: numbers.count > 2 ? Int(numbers[2]) : 50,
    requests: numbers.count > 1 ? Int(numbers[1]) : 200_000, sample: 400, isCold: !isWarm)
let economics = try Economics(plan)
for line in economics.lines { print(line) }
print("\(economics.holding) passed, \(economics.failures.count) failed")
exit(economics.failures.isEmpty ? 0 : 1)
