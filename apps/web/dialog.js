// Two questions that are asked over the page: the settings of a room, and whether it is meant.
import { $, tell } from './dom.js';

const NEW_ROOM = { name: '', type: 'video', maxParticipants: 5, settings: { maxDuration: 0 } };

function fill({ elements }, room) {
  elements.name.value = room.name ?? '';
  elements.type.value = room.type;
  elements.maxParticipants.value = room.maxParticipants;
  elements.maxDuration.value = room.settings.maxDuration ?? 0;
  elements.muteOnEntry.checked = room.settings.muteOnEntry ?? false;
  elements.allowRecording.checked = room.settings.allowRecording ?? false;
}

function read({ elements }) {
  return {
    name: elements.name.value.trim(),
    type: elements.type.value,
    maxParticipants: elements.maxParticipants.valueAsNumber,
    settings: {
      muteOnEntry: elements.muteOnEntry.checked,
      allowRecording: elements.allowRecording.checked,
      maxDuration: elements.maxDuration.valueAsNumber,
    },
  };
}

// Asks for settings until `save` takes them, or the person has thought better of it.
// @return what save returned; null when cancelled
export function askRoom(title, room, save) {
  const dialog = $('room-dialog');
  const form = $('room-form');
  const error = form.querySelector('.error');
  $('room-dialog-title').textContent = title;
  fill(form, room ?? NEW_ROOM);
  tell(error, null);
  dialog.showModal();
  return new Promise((resolve) => {
    let saved = null;
    form.querySelector('[value=cancel]').onclick = () => dialog.close();
    dialog.onclose = () => resolve(saved);
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        saved = await save(read(form));
        dialog.close();
      } catch (problem) {
        tell(error, problem.message);
      }
    };
  });
}

export function confirmed(question, yes) {
  const dialog = $('confirm-dialog');
  $('confirm-text').textContent = question;
  $('confirm-yes').textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => { dialog.onclose = () => resolve(dialog.returnValue === 'yes'); });
}
