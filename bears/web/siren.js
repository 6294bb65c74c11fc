// Play a siren. Browsers only allow sound after a tap, so call `prepare` at a tap.

const SECONDS = 60

export class Siren {
    prepare() {
        this.context ??= new AudioContext()
        this.context.resume()
    }

    play() {
        this.stop()
        if (!this.context) return
        const tone = (this.tone = this.context.createOscillator()),
            volume = this.context.createGain()
        const {currentTime: now} = this.context
        tone.type = "square"
        volume.gain.value = 0.4
        for (let i = 0; i < 2 * SECONDS; i++) tone.frequency.setValueAtTime(i % 2 ? 660 : 880, now + i / 2)
        tone.connect(volume).connect(this.context.destination)
        tone.start()
        tone.stop(now + SECONDS)
    }

    stop() {
        this.tone?.stop()
        this.tone = null
    }
}
