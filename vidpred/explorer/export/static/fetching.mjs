// Files of the page, or why one does not come.
export async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer;
}

export const readJson = async (path) => (await fetched(path)).json();
