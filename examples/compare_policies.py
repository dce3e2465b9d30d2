"""Compare two policies on the same episodes: paired seeds tell more than two success rates."""

import fetch_sim2real as fs
from fetch_sim2real.evaluation.statistics import paired_difference


def main(episodes: int = 20, most_steps: int | None = None) -> None:
    seeds = range(20_000, 20_000 + episodes)
    policies = [fs.load_policy("push"), fs.load_policy("push", look="once")]
    outcomes = [
        [fs.run_episode(policy, "gap", seed, most_steps=most_steps, keep_frames=False).success for seed in seeds]
        for policy in policies
    ]
    for policy, successes in zip(policies, outcomes, strict=True):
        print(f"looks at {policy.look}: {sum(successes)} of {episodes}")
    print(paired_difference(*outcomes).text())


if __name__ == "__main__":
    main()
