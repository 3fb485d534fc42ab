// What there is to see of the connection that is chosen: figures, charts, throughput, and what happened.
import { $, bitrate, bytes, element, initial, milliseconds, mood, percent, setPill } from './dom.js';
import { Chart } from './chart.js';

const NOTHING = { rtt: null, sent: 0, received: 0, path: null, security: null };
const rttChart = new Chart($('rtt-chart'), { series: ['a'], length: 120, unit: 'ms' });
const bitrateChart = new Chart($('bitrate-chart'), { series: ['a', 'b'], length: 120, unit: 'kbit/s' });
const lossChart = new Chart($('loss-chart'), { series: ['a', 'b'], length: 120, unit: '%', least: 1 });
const rateChart = new Chart($('rate-chart'), { series: ['a', 'b'], length: 48, grid: true, unit: 'Mbit/s' });

export class Details {
  #people;
  #measuring = false;

  constructor(people) {
    this.#people = people;
    people.on('chosen', (person) => this.#choose(person));
    people.on('changed', (person) => { if (person === people.chosen) this.#showState(person); });
    people.on('note', (entry) => this.#showNote(entry));
    people.on('figures', (person) => { if (person === people.chosen) this.#showFigures(person); });
    $('measure').onclick = () => people.chosen?.peer && this.#measure(people.chosen);
    $('restart').onclick = () => people.chosen?.peer?.restart();
    $('hang-up').onclick = () => people.chosen && people.hangUp(people.chosen);
    this.#choose(null);
  }

  #choose(person) {
    $('peer-view').hidden = !person;
    $('nobody').hidden = Boolean(person);
    if (!person) return;
    $('peer-name').textContent = person.name;
    $('peer-id').textContent = person.user.id;
    $('peer-avatar').textContent = initial(person.name);
    $('peer-avatar').className = 'avatar other';
    $('timeline').replaceChildren();
    rateChart.clear();
    person.notes.forEach((entry) => this.#showNote(entry));
    this.#showFigures(person);
    this.#showState(person);
  }

  #showState(person) {
    setPill($('peer-state'), person.state);
    $('measure').disabled = !person.peer?.canMeasure || this.#measuring;
    $('restart').disabled = $('hang-up').disabled = !person.isLive;
  }

  #showNote({ what, state, at }) {
    $('timeline').append(element('li', { className: mood(state) },
      element('time', { textContent: `${(at / 1000).toFixed(3)} s` }),
      element('span', {}, `${what} `, element('b', { textContent: state }))));
    $('timeline').scrollTop = $('timeline').scrollHeight;
  }

  #showFigures({ figures, history }) {
    const now = figures ?? NOTHING;
    const show = (id, value, format) => { $(id).textContent = value == null ? '–' : format(value); };
    show('rtt', now.rtt, milliseconds);
    show('bitrate-out', now.bitrateOut, bitrate);
    show('bitrate-in', now.bitrateIn, bitrate);
    show('loss-out', now.lossOut, percent);
    show('loss-in', now.lossIn, percent);
    show('sent', now.sent, bytes);
    show('received', now.received, bytes);
    show('path', now.path, String);
    show('security', now.security, String);
    rttChart.load(history.filter(({ rtt }) => rtt != null).map(({ rtt }) => [rtt]));
    bitrateChart.load(history.map((f) => [(f.bitrateOut ?? 0) / 1000, (f.bitrateIn ?? 0) / 1000]));
    lossChart.load(history.map((f) => [(f.lossOut ?? 0) * 100, (f.lossIn ?? 0) * 100]));
  }

  async #measure(person) {
    this.#measuring = true;
    this.#showState(person);
    rateChart.clear();
    $('measure-result').textContent = 'Measuring …';
    const show = ({ out, back }) => {
      $('rate-out').textContent = out.toFixed(0);
      $('rate-in').textContent = back.toFixed(0);
    };
    try {
      const total = await person.peer.measure((rates) => { show(rates); rateChart.push(rates.out, rates.back); });
      show(total);
      $('measure-result').textContent =
        `On average ${total.out.toFixed(0)} Mbit/s out and ${total.back.toFixed(0)} Mbit/s back, over ${total.seconds.toFixed(1)} s.`;
    } catch (error) {
      $('measure-result').textContent = `It did not work: ${error.message}`;
    }
    this.#measuring = false;
    if (this.#people.chosen) this.#showState(this.#people.chosen);
  }
}
