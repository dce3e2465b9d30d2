"""Let Stable-Baselines3 learn in an environment, with hindsight (pip install stable-baselines3)."""

from stable_baselines3 import SAC, HerReplayBuffer

import fetch_sim2real as fs


def main(steps: int = 5_000, learning_starts: int = 1_000) -> None:
    env = fs.make_env("reach", observation_mode="state", reward_tolerance_m=0.02)
    model = SAC(
        "MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=learning_starts, device="cpu",
        learning_rate=1e-3, gamma=0.97, tau=0.01, seed=1_000_000_000,
    )  # fmt: skip
    model.learn(steps)
    observation, _ = env.reset(seed=0)
    is_over, info = False, {}
    while not is_over:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, _, is_over, info = env.step(action)
    print(f"after {steps} steps: {100 * info['distance_m']:.1f} cm from the goal")
    env.close()


if __name__ == "__main__":
    main()
